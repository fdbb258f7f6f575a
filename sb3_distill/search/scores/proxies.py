"""
Zero-cost proxies: figures of an untrained actor on real observations. They are controls: a way of judging that does not beat
them, or the number of parameters, is not worth its cost.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.preprocessing import preprocess_obs

from sb3_distill.environments.make import MakeEnv, as_vec_env, make_vec_env
from sb3_distill.environments.random_rollout import random_rollout
from sb3_distill.errors import ArgumentError
from sb3_distill.learners.architecture import ACTIVATIONS
from sb3_distill.networks.anatomy import Network
from sb3_distill.networks.stacked import write_parameters
from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.score import Score
from sb3_distill.search.scores.networks import checked_seeds, initial_actors, template
from sb3_distill.typing import Json, Kwargs, Space

Proxy = Callable[[Network, th.Tensor, th.Generator], float]
"""From an actor, preprocessed observations ``(b, *obs)`` and a source of randomness to a figure."""


def n_parameters(network: Network, observations: th.Tensor, generator: th.Generator) -> float:
    """Number of parameters."""
    return float(sum(parameter.numel() for parameter in network.parameters()))


def gradient_norm(network: Network, observations: th.Tensor, generator: th.Generator) -> float:
    """Norm of the gradient of the outputs in random directions, on average over observations (Abdelfattah et al. 2021)."""
    outputs = network(observations)
    direction = th.randn(outputs.shape, generator=generator).to(outputs)
    gradients = th.autograd.grad((outputs * direction).sum(dim=1).mean(), list(network.parameters()))
    return float(th.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt())


def synflow(network: Network, observations: th.Tensor, generator: th.Generator) -> float:
    """Logarithm of the sum of |parameter x gradient| for positive parameters and an input of ones (Tanaka et al. 2020)."""
    doubled = {name: value.detach().abs().double().requires_grad_() for name, value in network.named_parameters()}
    ones = th.ones_like(observations[:1], dtype=th.float64)
    outputs = th.func.functional_call(network, doubled, (ones,))
    gradients = th.autograd.grad(outputs.sum(), list(doubled.values()))
    products = [(gradient * value).abs().sum() for gradient, value in zip(gradients, doubled.values(), strict=True)]
    return float(th.stack(products).detach().sum().clamp(min=1e-300).log())


@th.no_grad()
def naswot(network: Network, observations: th.Tensor, generator: th.Generator) -> float:
    """
    Log-determinant of the kernel that counts, for pairs of observations, the units whose pre-activations have equal signs
    (Mellor et al. 2021). For saturating activations the signs are taken all the same.
    """
    codes: list[th.Tensor] = []
    elementwise = [module for module in network.modules() if isinstance(module, tuple(ACTIVATIONS.values()))]
    hooks = [module.register_forward_pre_hook(lambda _, args: codes.append(args[0].flatten(1) > 0)) for module in elementwise]
    try:
        network(observations)
    finally:
        for hook in hooks:
            hook.remove()
    signs = th.cat(codes, dim=1).double()
    kernel = signs @ signs.mT + (1 - signs) @ (1 - signs).mT
    return float(th.linalg.slogdet(kernel + 1e-3 * th.eye(len(kernel), dtype=th.float64))[1])


PROXIES: dict[str, Proxy] = {
    "parameters": n_parameters, "gradient norm": gradient_norm, "synflow": synflow, "naswot": naswot
}  # fmt: skip
"""Proxies by name."""


N_OBSERVATIONS = 128
"""Observations on which proxies look at a network."""


class ProxyScore:
    """
    A zero-cost proxy of untrained actors.

    :param name: a key of ``PROXIES``
    :param observations: real observations as the networks see them ``(b, *obs)``
    :param observation_space: observation space of the environment
    :param action_space: action space of the environment
    :raises ValueError: for an unknown name
    """

    budget = 1

    def __init__(self, name: str, observations: th.Tensor, observation_space: Space, action_space: Space) -> None:
        if name not in PROXIES:
            raise ArgumentError(f"unknown proxy {name!r}; known are {', '.join(PROXIES)}")
        self.name, self.observations = name, observations
        self.observation_space, self.action_space = observation_space, action_space

    def describe(self) -> Json:
        return {"evaluator": self.name, "n_observations": len(self.observations)}

    def score(self, architecture: PolicyArchitecture, seeds: Sequence[int], budget: int | None = None) -> Score:
        """
        :param architecture: the architecture
        :param seeds: one network for each
        :param budget: without effect
        :return: the figure of each network
        :raises ValueError: if the architecture does not fit the spaces, or there are no seeds
        """
        start, seeds = time.perf_counter(), checked_seeds(seeds)
        actors = initial_actors(template(architecture, self.observation_space, self.action_space), seeds)
        (group,) = actors.groups
        figures = []
        for index, seed in enumerate(seeds):
            write_parameters(group.network.template, group.params, index)
            figures.append(PROXIES[self.name](group.network.template, self.observations, th.Generator().manual_seed(seed)))
        return Score(tuple(figures), time.perf_counter() - start)


def proxies_of(env_id: str | MakeEnv, env_kwargs: Kwargs | None = None, seed: int = 0) -> list[ProxyScore]:
    """
    :param env_id: id of the environment, or a function that makes one
    :param env_kwargs: its arguments
    :param seed: seed of the random actions by which observations are met
    :return: all proxies, on ``N_OBSERVATIONS`` observations
    :raises ValueError: if an observation is a dict
    """
    env = as_vec_env(make_vec_env(env_id, 8, seed=seed, env_kwargs=env_kwargs))  # images with channels first
    try:
        if isinstance(env.observation_space, spaces.Dict):
            raise ArgumentError("proxies look at one array of observations, and the environment shows a dict of them")
        env.action_space.seed(seed)
        step = 5  # neighbours are alike
        visited = np.stack(random_rollout(env, N_OBSERVATIONS * step // 8))[::step]  # type: ignore[arg-type]
        observations = preprocess_obs(th.as_tensor(visited), env.observation_space)
        assert isinstance(observations, th.Tensor)
        return [ProxyScore(name, observations, env.observation_space, env.action_space) for name in PROXIES]
    finally:
        env.close()
