"""What Python and notebooks show of models and trainings."""
