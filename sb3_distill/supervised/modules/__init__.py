"""Learners that are plain PyTorch modules."""
