"""Tuned hyperparameters for rl-zoo; read through ``importlib.resources``."""
