"""Rules of layers' operators: convolutions, pooling, normalizations, look-ups."""
