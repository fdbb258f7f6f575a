"""The origin of an environment: the Gymnasium id and the arguments that a dataset file records."""

import gymnasium as gym
from stable_baselines3.common.vec_env import VecEnv

from sb3_distill.environments.wrappers import spec_of
from sb3_distill.spaces.serialization import is_json
from sb3_distill.typing import Json

NOT_THE_TASK = ("render_mode", "autoreset_mode", "num_envs", "max_episode_steps", "vectorization_mode", "vector_kwargs")
"""Keyword arguments that say how an environment is run, not what it is."""


def env_origin(env: VecEnv) -> tuple[str | None, Json]:
    """
    :param env: any ``VecEnv``
    :return: the Gymnasium id, ``None`` if unknown, and those keyword arguments that JSON can hold and that are not the
        defaults of the id
    """
    spec = spec_of(env)
    if spec is None:
        return None, {}
    registered = gym.registry.get(spec.id)
    defaults = {} if registered is None else registered.kwargs
    kwargs = {
        key: value
        for key, value in spec.kwargs.items()
        if is_json(value) and key not in NOT_THE_TASK and defaults.get(key) != value
    }
    limit = spec.kwargs.get("max_episode_steps", spec.max_episode_steps)
    if limit is not None and (registered is None or limit != registered.max_episode_steps):
        kwargs["max_episode_steps"] = limit
    return spec.id, kwargs
