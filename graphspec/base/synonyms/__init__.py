"""What users of Keras and PyTorch, and plain speakers, write by mistake: names of classes, and keys."""
