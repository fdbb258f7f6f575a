"""A pytest plugin: every ``from stable_baselines3 import PPO`` of SB3's own tests yields PPMO."""

import os

import stable_baselines3

from sb3_distill import PPMO

times = int(os.environ.get("TIMES", "1"))
if times > 1:  # a learning test with more steps, to tell slow from wrong
    learn = PPMO.learn
    PPMO.learn = lambda self, total_timesteps, *args, **kwargs: learn(self, times * total_timesteps, *args, **kwargs)
stable_baselines3.PPO = PPMO
