"""Policies of ``PPMO`` under the names that SB3's algorithms give them."""

from stable_baselines3.common.policies import ActorCriticCnnPolicy as CnnPolicy
from stable_baselines3.common.policies import ActorCriticPolicy as MlpPolicy
from stable_baselines3.common.policies import MultiInputActorCriticPolicy as MultiInputPolicy

__all__ = ["CnnPolicy", "MlpPolicy", "MultiInputPolicy"]
