"""graphspec alone: how time and memory grow. One module a table, each with ``text() -> str`` in Markdown."""
