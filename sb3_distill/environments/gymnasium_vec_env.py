"""A Gymnasium vector environment behind SB3's interface."""

import inspect
from collections.abc import Sequence
from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from sb3_distill.environments.foreign.copies import copied, own_array, vector_writes_again
from sb3_distill.errors import ArgumentError
from sb3_distill.trees import index, leaves
from sb3_distill.typing import Array, Info, RawObservations, VectorEnv


class GymnasiumVecEnv(VecEnv):
    """
    A Gymnasium vector environment as an SB3 ``VecEnv``.

    :param env: a vector environment that resets in the step that ends an episode (``AutoresetMode.SAME_STEP``)
    :param copies: whether arrays are copied, since ``env`` may write into them again; ``None``: unless it is one of
        Gymnasium's that copies itself
    :raises ValueError: for another autoreset mode: SB3 would take the reset as a transition of the task
    """

    def __init__(self, env: VectorEnv, copies: bool | None = None) -> None:
        mode = env.metadata.get("autoreset_mode")
        if mode not in (AutoresetMode.SAME_STEP, AutoresetMode.SAME_STEP.value):
            name = getattr(mode, "name", mode)
            raise ArgumentError(f"{env} has autoreset mode {name}, but SB3 needs SAME_STEP: {_advice(env)}")
        self.env = env
        self.copies = vector_writes_again(env) if copies is None else copies
        self._actions: Array | None = None
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> VecEnvObs:
        seed = None if self._seeds[0] is None else int(self._seeds[0])
        observations: VecEnvObs
        observations, _ = self.env.reset(seed=seed, options=self._options[0] or None)
        self._reset_seeds()
        self._reset_options()
        return cast("VecEnvObs", copied(observations)) if self.copies else observations

    def step_async(self, actions: Array) -> None:
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        observations, rewards, terminated, truncated, info = self.env.step(self._actions)
        truncated = np.array(truncated, dtype=bool).reshape(self.num_envs)
        terminated = np.asarray(terminated, dtype=bool).reshape(self.num_envs)
        dones = truncated | terminated
        ended: list[int] = np.flatnonzero(dones).tolist()
        infos = split_info(info, self.num_envs, ended)
        for i, last in zip(ended, final_observations(info, ended, self.env) if ended else (), strict=True):
            infos[i]["terminal_observation"] = last
            infos[i]["TimeLimit.truncated"] = bool(truncated[i]) and not terminated[i]
        if self.copies:
            observations = copied(observations)
        return observations, np.array(rewards, dtype=np.float32).reshape(self.num_envs), dones, infos

    def close(self) -> None:
        self.env.close()

    def get_images(self) -> Sequence[Array | None]:
        frames = cast("tuple[Array, ...] | None", self.env.render())
        return [None] * self.num_envs if frames is None else list(frames)

    def has_attr(self, attr_name: str) -> bool:
        return hasattr(self.env, attr_name) or self._is_of_each(attr_name)

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[object]:
        if not hasattr(self.env, attr_name) and self._is_of_each(attr_name):
            values = self._call("get_wrapper_attr", attr_name)
            return [values[i] for i in self._get_indices(indices)]
        value = getattr(self.env, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: object, indices: VecEnvIndices = None) -> None:
        raise NotImplementedError(f"a native vector environment has no attributes of its own per environment ({attr_name})")

    def env_method(self, method_name: str, *args: object, indices: VecEnvIndices = None, **kwargs: object) -> list[object]:
        """
        Answers of single environments where the vector environment consists of such, else of its own method, if its answer
        has an entry for each environment.
        """
        chosen = list(self._get_indices(indices))
        method = getattr(self.env.unwrapped, method_name, None)
        if self._is_of_each(method_name):
            answers = self._call(method_name, *args, **kwargs)
        elif callable(method) and not hasattr(gym.vector.VectorEnv, method_name):
            answers = method(*args, **kwargs)
        else:
            raise NotImplementedError(f"a native vector environment has no methods of its own per environment ({method_name})")
        return [answers[i] for i in chosen]

    def _is_of_each(self, name: str) -> bool:
        """Whether the single environments have an attribute, where there are such."""
        return hasattr(self.env.unwrapped, "call") and all(self._call("has_wrapper_attr", name))

    def _call(self, method: str, *args: object, **kwargs: object) -> Sequence[Any]:
        answers: Sequence[Any] = self.env.unwrapped.call(method, *args, **kwargs)  # type: ignore[attr-defined]
        return answers

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        return [False for _ in self._get_indices(indices)]


def split_info(info: Info | Sequence[Info], n_envs: int, ended: Sequence[int]) -> list[Info]:
    """
    :param info: what a vector environment says besides observations and rewards: arrays or lists with an entry for each
        environment, dicts of these, something that concerns all, or a list of dicts. A mask ``_key`` says for whom ``key`` is
        valid
    :param n_envs: number of environments
    :param ended: environments whose episode has just ended
    :return: what it says of each; after the end of an episode also what it said at its end
    """
    if not isinstance(info, dict):
        return [dict(part or {}) for part in info]
    running = {key: value for key, value in info.items() if not key.startswith(("final_", "_final_"))}
    infos: list[Info] = [_info_of(running, i, n_envs) if running else {} for i in range(n_envs)]
    final = info.get("final_info")
    for i in ended if final is not None else ():
        one = _info_of(final, i, n_envs) if isinstance(final, dict) else _entry(final, i, n_envs)
        infos[i].update(one if isinstance(one, dict) else {})
    return infos


def final_observations(info: Info | Sequence[Info], ended: Sequence[int], env: object) -> list[RawObservations]:
    """
    :param info: see ``split_info``
    :param ended: environments whose episode has just ended
    :param env: the vector environment, for the message
    :return: the last observations of these episodes, copied
    :raises ValueError: if one is not there
    """
    final = info.get("final_obs") if isinstance(info, dict) else None
    if isinstance(final, np.ndarray) and final.dtype != object:
        return list(own_array(final[ended]))  # one copy for all: episodes of beginners end in most steps
    return [final_observation(info, i, env) for i in ended]


def final_observation(info: Info | Sequence[Info], i: int, env: object) -> RawObservations:
    """
    :param info: see ``split_info``
    :param i: an environment whose episode has just ended
    :param env: the vector environment, for the message
    :return: the last observation of this episode
    :raises ValueError: if it is not there
    """
    for key in ("final_obs", "final_observation"):  # the name until Gymnasium 1.0
        if isinstance(info, dict) and info.get(key) is not None:
            final = index(info[key], i)
            if final is not None and all(np.asarray(leaf).dtype != object for leaf in leaves(final)):
                return copied(final)
        elif isinstance(info, (list, tuple)) and (info[i] or {}).get(key) is not None:
            return copied(info[i][key])
    raise ArgumentError(
        f"environment {i} of {env} has ended an episode, but the info of this step has no `final_obs`, its last observation, "
        "which is gone after a reset in the same step: put it into info['final_obs'], an array (or a dict of arrays) like the "
        "observations"
    )


def _info_of(info: Info, i: int, n_envs: int) -> Info:
    """What a vector environment says of environment ``i``."""
    return {
        key: _info_of(value, i, n_envs) if isinstance(value, dict) else _entry(value, i, n_envs)
        for key, value in info.items()
        if not key.startswith("_") and _is_valid(info.get(f"_{key}"), i, n_envs)
    }


def _entry(value: object, i: int, n_envs: int) -> object:
    """Entry ``i`` where there is one for each environment, else the value itself."""
    if isinstance(value, (np.ndarray, list, tuple)) and np.ndim(value) > 0 and len(value) == n_envs:
        return value[i]
    return value


def _is_valid(mask: object, i: int, n_envs: int) -> bool:
    return mask is None or bool(np.all(np.asarray(_entry(mask, i, n_envs))))


def _advice(env: VectorEnv) -> str:
    """How to get resets in the same step, in words that work for this environment as they are."""
    inner, spec = env.unwrapped, env.spec
    is_composed = isinstance(inner, (gym.vector.SyncVectorEnv, gym.vector.AsyncVectorEnv))
    if spec is None and not is_composed:
        return (
            "let it reset in the step that ends an episode, say so in its metadata, "
            "metadata['autoreset_mode'] = AutoresetMode.SAME_STEP, and put the last observations into info['final_obs']"
        )
    if not is_composed and "autoreset_mode" in inspect.signature(type(inner)).parameters:
        return "make it with gym.make_vec(..., autoreset_mode=AutoresetMode.SAME_STEP)"
    kind = "async" if isinstance(inner, gym.vector.AsyncVectorEnv) else "sync"
    way = f'vectorization_mode="{kind}", vector_kwargs={{"autoreset_mode": AutoresetMode.SAME_STEP}}'
    return f"make it with gym.make_vec(..., {way}), or with sb3_distill.make_vec_env"
