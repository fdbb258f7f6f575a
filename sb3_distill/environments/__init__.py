"""Simulators behind SB3's interface."""
