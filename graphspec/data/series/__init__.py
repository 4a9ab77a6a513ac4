"""Series: rows in the order of time, with a row for each step, and their missing values."""
