"""A Gymnasium vector environment behind SB3's interface."""

from collections.abc import Sequence
from typing import cast

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from sb3_distill.errors import ArgumentError
from sb3_distill.trees import index
from sb3_distill.typing import Array, Info, VectorEnv


class GymnasiumVecEnv(VecEnv):
    """
    A Gymnasium vector environment as an SB3 ``VecEnv``.

    :param env: a vector environment that resets in the step that ends an episode (``AutoresetMode.SAME_STEP``)
    :raises ValueError: for another autoreset mode: SB3 would take the reset as a transition of the task
    """

    def __init__(self, env: VectorEnv) -> None:
        mode = env.metadata.get("autoreset_mode")
        if mode != AutoresetMode.SAME_STEP:
            raise ArgumentError(
                f"{env} has autoreset mode {getattr(mode, 'name', mode)}, but SB3 needs SAME_STEP: make it with "
                "gym.make_vec(..., autoreset_mode=AutoresetMode.SAME_STEP) or, for a SyncVectorEnv or AsyncVectorEnv, "
                'gym.make_vec(..., vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP})'
            )
        self.env = env
        self._actions: Array | None = None
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> VecEnvObs:
        seed = None if self._seeds[0] is None else int(self._seeds[0])
        observations: VecEnvObs
        observations, _ = self.env.reset(seed=seed, options=self._options[0] or None)
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: Array) -> None:
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        observations, rewards, terminated, truncated, info = self.env.step(self._actions)
        dones = terminated | truncated
        running = {key: value for key, value in info.items() if not key.lstrip("_").startswith("final_")}
        infos: list[Info] = [_info_of(running, i) if running else {} for i in range(self.num_envs)]
        if dones.any():
            final_info = info.get("final_info", {})
            for i in np.flatnonzero(dones).tolist():
                infos[i].update(_info_of(final_info, i))
                infos[i]["terminal_observation"] = index(info["final_obs"], i)
                infos[i]["TimeLimit.truncated"] = bool(truncated[i] and not terminated[i])
        return observations, np.asarray(rewards, dtype=np.float32), dones, infos

    def close(self) -> None:
        self.env.close()

    def get_images(self) -> Sequence[Array | None]:
        frames = cast("tuple[Array, ...] | None", self.env.render())
        return [None] * self.num_envs if frames is None else list(frames)

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[object]:
        value = getattr(self.env, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: object, indices: VecEnvIndices = None) -> None:
        raise NotImplementedError(f"a native vector environment has no attributes of its own per environment ({attr_name})")

    def env_method(self, method_name: str, *args: object, indices: VecEnvIndices = None, **kwargs: object) -> list[object]:
        raise NotImplementedError(f"a native vector environment has no methods of its own per environment ({method_name})")

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        return [False for _ in self._get_indices(indices)]


def _info_of(info: Info, i: int) -> Info:
    """What a Gymnasium vector environment says of environment ``i``: a mask ``_key`` says for whom ``key`` is valid."""
    return {
        key: _info_of(value, i) if isinstance(value, dict) else value[i]
        for key, value in info.items()
        if not key.startswith("_") and (f"_{key}" not in info or info[f"_{key}"][i])
    }
