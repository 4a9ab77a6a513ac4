"""The sections of a report, one module each. Each one returns its HTML, or None if it has nothing to show."""
