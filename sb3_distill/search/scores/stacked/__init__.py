"""RL of many networks of one shape at once, one for each seed: online and on recorded play."""
