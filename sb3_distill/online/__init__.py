"""Distilling in environments: what reinforcement learning and imitation share."""
