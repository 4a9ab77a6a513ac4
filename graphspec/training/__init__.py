"""A run: its parts, its steps, its run directory."""
