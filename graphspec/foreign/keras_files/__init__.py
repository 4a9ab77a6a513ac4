"""Models that Keras saved, as specs and arrays: read without Keras, without running code."""
