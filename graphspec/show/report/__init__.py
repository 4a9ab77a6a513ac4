"""A trained run as one HTML page: what it is, how well it answers, where it is wrong, and how to repeat it."""
