"""A page to try an exported network on: a form, its answers, what they depend on, and tables, without a server."""
