"""Hyperparameter search: each trial of a spec's ``search`` is a run directory."""
