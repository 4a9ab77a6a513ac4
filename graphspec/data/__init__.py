"""Data files and arrays: read, converted, checked, and cut into batches."""
