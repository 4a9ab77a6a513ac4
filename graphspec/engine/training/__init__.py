"""Training runs: preparation, steps, checkpoints, run directories."""
