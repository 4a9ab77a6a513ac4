"""What is wrong with data, in words: where it is, how often, and what to do."""
