"""A pytest plugin: every ``from stable_baselines3 import PPO`` of SB3's own tests yields PPMO."""

import stable_baselines3

from sb3_distill import PPMO

stable_baselines3.PPO = PPMO
