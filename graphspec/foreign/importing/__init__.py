"""Networks of other programs as specs that a person would write."""
