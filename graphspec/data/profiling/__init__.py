"""What tables hold, and how their text is read."""
