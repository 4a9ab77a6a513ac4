"""Graphs are made, rewritten and estimated here."""
