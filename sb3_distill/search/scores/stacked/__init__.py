"""Many networks of one shape, one for each seed: their parameters, how they act, and PPO of all of them at once."""
