"""How good the answers are, on real tables, beside the tools that people use for tables."""
