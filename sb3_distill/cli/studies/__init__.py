"""Commands that study datasets."""
