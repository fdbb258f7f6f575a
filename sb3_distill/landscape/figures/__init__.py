"""Figures of a landscape, each beside its controls."""
