"""What people look at: reports, cards, notebooks, drawings."""
