"""The commands that make datasets."""
