"""Initial weights from files: what a file has for each weight, by which name, in which layout."""
