"""Data files and arrays: reading, conversion, checks and batches."""
