"""What people and chance may do to graphspec: attacks, and what must hold under them."""
