"""Drawings of a spec: what is drawn (`outline`), where it stands (`layered`), and how it is written (`svg`, `mermaid`)."""
