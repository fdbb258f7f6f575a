"""Points of a landscape: which networks they are, how RL trains them, what they do in the environment."""
