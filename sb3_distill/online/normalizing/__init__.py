"""Who normalises for a model: its environment, or the model itself."""
