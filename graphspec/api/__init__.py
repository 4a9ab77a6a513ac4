"""The Python API: `compile`, `load`, `Model`, `validate`, histories, explanations."""
