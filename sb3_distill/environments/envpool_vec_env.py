"""EnvPool's environments, which are stepped outside of Python, behind SB3's interface."""

import copy
from collections.abc import Sequence
from functools import partial

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from sb3_distill.errors import ArgumentError, MissingExtraError
from sb3_distill.typing import Array, Info, Kwargs


class EnvPoolVecEnv(VecEnv):
    """
    Environments of EnvPool (``pip install "sb3-distill[envpool]"``). EnvPool has its own programs of the tasks and its own
    version of the physics engine: learn in them, but check the result in Gymnasium's.

    :param env_id: a Gymnasium id that EnvPool knows too
    :param n_envs: number of environments
    :param seed: seed of the environments; after ``seed()``, the next reset makes them anew
    :param n_threads: number of threads that step the environments; ``None`` for one per core
    :param env_kwargs: keyword arguments of EnvPool's environment
    :raises ImportError: if EnvPool is not installed
    :raises ValueError: for a task that EnvPool does not have
    """

    def __init__(
        self,
        env_id: str,
        n_envs: int,
        seed: int | None = None,
        n_threads: int | None = None,
        env_kwargs: Kwargs | None = None,
    ) -> None:
        try:
            import envpool
        except ImportError as error:
            raise MissingExtraError(f'EnvPoolVecEnv needs EnvPool: pip install "sb3-distill[envpool]" ({error})') from error
        if env_id not in envpool.list_all_envs() or env_id not in gym.registry:
            raise ArgumentError(f"EnvPool has no {env_id!r}, or Gymnasium has not: leave out `vec_env_cls`")
        # Gymnasium computes the contact forces that some tasks show.
        config = {"post_constraint": True} if hasattr(envpool.make_spec(env_id).config, "post_constraint") else {}
        self._make = partial(
            envpool.make,
            env_id,
            env_type="gymnasium",
            num_envs=n_envs,
            num_threads=n_threads or 0,
            **config | (env_kwargs or {}),
        )
        self.env = self._make(seed=int(np.random.default_rng().integers(2**30)) if seed is None else seed)
        self.env_id, self.spec = env_id, copy.copy(gym.spec(env_id))
        self.spec.kwargs = {**self.spec.kwargs, **(env_kwargs or {})}
        self._actions: Array | None = None
        # Bounds and types are those of Gymnasium's spaces, so that a dataset fits both.
        registered = gym.make(env_id)
        super().__init__(n_envs, registered.observation_space, registered.action_space)
        registered.close()
        pool_spaces = self.env.observation_space, self.env.action_space
        if [space.shape for space in pool_spaces] != [self.observation_space.shape, self.action_space.shape]:
            raise ArgumentError(f"EnvPool's {env_id} has other spaces than Gymnasium's: {pool_spaces}")

    def reset(self) -> VecEnvObs:
        if self._seeds[0] is not None:
            self.env.close()
            self.env = self._make(seed=int(self._seeds[0]))
        self._reset_seeds()
        self._reset_options()
        observations: VecEnvObs = self.env.reset()[0]
        return observations

    def step_async(self, actions: Array) -> None:
        self._actions = np.asarray(actions, dtype=self.env.action_space.dtype)

    def step_wait(self) -> VecEnvStepReturn:
        observations, rewards, terminated, truncated, _ = self.env.step(self._actions)
        dones = terminated | truncated
        infos: list[Info] = [{} for _ in range(self.num_envs)]
        if dones.any():
            # By itself, EnvPool would reset these in the next step, but SB3 needs the reset in this one.
            ended = np.flatnonzero(dones)
            observations = observations.copy()
            for i in ended.tolist():
                infos[i]["terminal_observation"] = observations[i].copy()
                infos[i]["TimeLimit.truncated"] = bool(truncated[i] and not terminated[i])
            observations[ended] = self.env.reset(ended)[0]
        return observations, np.asarray(rewards, dtype=np.float32), dones, infos

    def close(self) -> None:
        self.env.close()

    def get_images(self) -> Sequence[Array | None]:
        return [None] * self.num_envs

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[object]:
        if attr_name == "spec":
            return [self.spec for _ in self._get_indices(indices)]
        return [getattr(self.env, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: object, indices: VecEnvIndices = None) -> None:
        raise NotImplementedError(f"EnvPool's environments have no attributes of their own ({attr_name})")

    def env_method(self, method_name: str, *args: object, indices: VecEnvIndices = None, **kwargs: object) -> list[object]:
        raise NotImplementedError(f"EnvPool's environments have no methods of their own ({method_name})")

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        return [False for _ in self._get_indices(indices)]
