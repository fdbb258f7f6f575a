"""A rollout of random actions, for observations that a task really shows."""

from typing import Protocol, cast

from stable_baselines3.common.vec_env import VecEnv

from sb3_distill.environments.finite import check_observations
from sb3_distill.environments.foreign.copies import copied, own_steps
from sb3_distill.environments.foreign.masks import random_actions
from sb3_distill.trees import index
from sb3_distill.typing import Array, RawObservations


class Watcher(Protocol):
    """What sees the steps of environments, and says how they are seen; see ``online.normalizing``."""

    def start(self, observations: RawObservations) -> None: ...

    def step(self, observations: RawObservations, rewards: Array, dones: Array) -> tuple[RawObservations, Array]: ...


def random_rollout(env: VecEnv, n_steps: int, watcher: Watcher | None = None) -> list[RawObservations]:
    """
    Reset an environment and let random actions drive it. Statistics of a ``VecNormalize`` are updated on the way.

    :param env: its action space is the source of randomness
    :param n_steps: number of steps of each environment
    :param watcher: what changes observations; ``None`` to leave them
    :return: single observations after each step, as they leave ``env`` or ``watcher``: a flat list of ``n_steps * n_envs``,
        step-major (environments 0 to n - 1 of the first step, then those of the second)
    :raises FloatingPointError: if an observation is not finite
    """
    first, make_step = own_steps(env, env.reset())
    if watcher is not None:
        watcher.start(cast(RawObservations, first))
    visited: list[RawObservations] = []
    for step in range(n_steps):
        shown, rewards, dones, _ = make_step(random_actions(env))
        observations = copied(shown)
        check_observations(observations, step + 1)
        if watcher is not None:
            observations, _ = watcher.step(observations, rewards, dones)
        visited += [index(observations, i) for i in range(env.num_envs)]
    return visited
