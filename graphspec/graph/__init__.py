"""Building, rewriting and analyzing graphs."""
