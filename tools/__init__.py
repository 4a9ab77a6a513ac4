"""Helpers for those who work on graphspec; no part of the package."""
