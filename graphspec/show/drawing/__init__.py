"""Drawings of a spec: the content (`outline`), the layout (`layered`), and the output formats (`svg`, `mermaid`)."""
