"""M actors of one shape act, each in environments of its own."""

from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.preprocessing import preprocess_obs
from stable_baselines3.common.utils import obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv

from sb3_distill.environments.foreign.hand_over import EnvSource, environments_from, may_be_many
from sb3_distill.errors import ArgumentError
from sb3_distill.evaluation.play import play_episodes
from sb3_distill.evaluation.result import Returns
from sb3_distill.networks.action_distribution import make_action_distribution, to_env
from sb3_distill.networks.anatomy import actor_of
from sb3_distill.networks.stacked import StackedNetwork
from sb3_distill.search.policy import ArchitecturePolicy
from sb3_distill.search.scores.stacked.gaussian import gaussian_log_prob
from sb3_distill.spaces.checks import describe, same_actions, same_kind
from sb3_distill.trees import map_leaves
from sb3_distill.typing import Array, Kwargs, Observations, Params, RawObservations, Space

EVALUATION = 2**20
"""Added to the seed of a training for the environments of its evaluation."""


class StackedActors:
    """
    Actions of M actors.

    :param network: their forward pass
    :param params: their parameters by name; read anew at each call, so that a training may change them meanwhile
    :param observation_space: observation space of the environments
    :param action_space: action space of the environments
    :param log_std: logarithms of standard deviations ``(M, n_outputs)``; ``None`` for choices, and for actors whose actions
        are not drawn
    :param normalization: normalises observations; ``None`` where these are, or stay, as they are
    :param squashes: whether a tanh puts the outputs into [-1, 1], which is scaled to the bounds of the actions
    """

    def __init__(
        self,
        network: StackedNetwork,
        params: Params,
        observation_space: Space,
        action_space: Space,
        log_std: th.Tensor | None = None,
        normalization: Callable[[RawObservations], RawObservations] | None = None,
        squashes: bool = False,
    ) -> None:
        self.network, self.params, self.log_std = network, params, log_std
        self.observation_space, self.action_space = observation_space, action_space
        self.normalization, self.squashes = normalization, squashes
        self.distribution = make_action_distribution(action_space)
        self.n_actors = len(next(iter(params.values())))
        is_real = isinstance(action_space, spaces.Box)
        self.samples = not is_real or (log_std is not None and not squashes)
        """Whether actions are drawn; they are the outputs otherwise."""

    @classmethod
    def of(
        cls,
        policy: ArchitecturePolicy,
        params: Params,
        log_std: th.Tensor | None = None,
        normalization: Callable[[RawObservations], RawObservations] | None = None,
        squashes: bool = False,
    ) -> Self:
        """
        :param policy: a policy of the architecture, which names network and spaces; its parameters are not used
        :return: actors with ``params``; the other parameters are those of the class
        """
        network = StackedNetwork(actor_of(policy))
        return cls(network, params, policy.observation_space, policy.action_space, log_std, normalization, squashes)

    def log_prob(self, outputs: th.Tensor, actions: th.Tensor) -> th.Tensor:
        """
        :param outputs: outputs of the networks ``(M, b, n_outputs)``
        :param actions: actions as a policy gives them ``(M, b, dimensions)``
        :return: their log-probabilities, or densities ``(M, b)``
        """
        if self.log_std is not None:
            return gaussian_log_prob(outputs, actions, self.log_std.unsqueeze(1))
        return self.distribution.log_prob(outputs.flatten(0, 1), actions.flatten(0, 1)).view(outputs.shape[:2])

    def see(self, observations: RawObservations) -> Observations:
        """
        :param observations: as environments give them ``(M * b, *obs)``, those of the first actor first
        :return: the same as networks take them ``(M, b, *preprocessed shape)``
        """
        if self.normalization is not None:
            observations = self.normalization(observations)
        tensors = obs_as_tensor(observations, th.device("cpu"))  # type: ignore[arg-type]
        return preprocessed(tensors, self.observation_space, self.n_actors)

    def noise(self, n_steps: int, n_envs: int, generators: Sequence[th.Generator]) -> th.Tensor | None:
        """
        :param n_steps: number of steps
        :param n_envs: environments of each actor
        :param generators: source of randomness of each actor (CPU)
        :return: noise of each step ``(n_steps, M * n_envs, n_outputs)``; ``None`` for actors without noise
        """
        if not self.samples:
            return None
        each = [self.distribution.noise(n_steps * n_envs, generator) for generator in generators]
        return th.cat([noise.unflatten(0, (n_steps, n_envs)) for noise in each], dim=1)

    @th.no_grad()
    def act(self, seen: Observations, noise: th.Tensor | None) -> Array:
        """
        :param seen: result of ``see``
        :param noise: noise of one step ``(M * b, n_outputs)``; ``None`` for the most likely actions
        :return: actions as a policy gives them ``(M * b, dimensions)``, or ``(M * b,)``
        """
        outputs = self.network(self.params, seen)
        n = outputs.shape[1]
        outputs = outputs.flatten(0, 1)
        if self.squashes:
            return np.asarray(outputs.tanh().numpy())
        log_std = None if self.log_std is None else self.log_std.repeat_interleave(n, dim=0)
        return np.asarray(self.distribution.act(outputs, noise, log_std).numpy())

    def to_env(self, actions: Array) -> Array:
        """Actions as environments take them; see ``act``."""
        return to_env(actions, self.action_space, self.squashes)


def preprocessed(observations: Observations, space: Space, n: int) -> Observations:
    """
    :param observations: observations of all actors ``(n * b, *obs)``
    :param space: their space
    :param n: number of actors
    :return: the same as networks take them, each actor its share ``(n, b, *preprocessed shape)``
    """
    tensors = preprocess_obs(observations, space)  # type: ignore[arg-type]
    return map_leaves(lambda leaf: leaf.unflatten(0, (n, -1)), tensors)


def name_of(env: EnvSource | None) -> str:
    """
    :param env: an id, or anything else that is called an environment
    :return: a name for descriptions: the id, or that of a class or a function
    """
    return env if isinstance(env, str) else getattr(env, "__qualname__", repr(env))


def environments(env: EnvSource, n_envs: int, seed: int, env_kwargs: Kwargs | None = None) -> VecEnv:
    """
    :param env: an id, or anything else that ``evaluate_learners`` takes and that is made here
    :param n_envs: number of environments
    :param seed: seed of the environments
    :param env_kwargs: arguments of the environment
    :return: new environments
    :raises ValueError: for environments that exist already, since their number cannot be chosen
    """
    made = environments_from(env, n_envs, seed % 2**31, env_kwargs)
    if not made.is_ours or made.env.num_envs != n_envs:
        raise ArgumentError(
            f"`env` must make any number of environments: give an id, a class or a function of nothing, got {env!r:.200}"
        )
    return made.env


def mean_returns(
    actors: StackedActors,
    env: EnvSource,
    n_episodes: int,
    n_envs: int,
    seeds: Sequence[int],
    env_kwargs: Kwargs | None = None,
) -> Returns:
    """
    :param actors: M actors
    :param env: see ``environments``
    :param n_episodes: episodes of each actor, with sampled actions where actors sample
    :param n_envs: environments of each actor, where these are dear; cheap ones are as many as episodes
    :param seeds: seed of each actor's noise; the first one seeds the environments
    :param env_kwargs: arguments of the environment
    :return: mean return of each actor ``(M,)``
    :raises ValueError: if the actors were made for other spaces
    """
    each = n_episodes if may_be_many(env) else min(n_envs, n_episodes)
    venv = environments(env, each * actors.n_actors, seeds[0] + EVALUATION, env_kwargs)
    generators = [th.Generator().manual_seed((seed + EVALUATION) % 2**63) for seed in seeds]

    def act(observations: RawObservations) -> Array:
        noise = actors.noise(1, each, generators)
        return actors.to_env(actors.act(actors.see(observations), None if noise is None else noise[0]))

    try:
        check_spaces(actors, venv)
        return np.asarray(play_episodes(venv, act, actors.n_actors, n_episodes).mean(axis=1))
    finally:
        venv.close()


def check_spaces(actors: StackedActors, env: VecEnv) -> None:
    """
    :raises ValueError: if actors were made for other spaces than those of the environments
    """
    for one, other, fits in (
        (actors.observation_space, env.observation_space, same_kind),
        (actors.action_space, env.action_space, same_actions),
    ):
        if not fits(one, other):
            raise ArgumentError(f"networks are made for {describe(one)}, the environment has {describe(other)}")
