"""Processes that share every batch."""
