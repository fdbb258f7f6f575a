"""The file of an ensemble."""
