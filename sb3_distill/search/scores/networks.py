"""The initial networks of an architecture, one for each seed, in one stack."""

from collections.abc import Sequence

import torch as th

from sb3_distill.arguments import drawn_seed
from sb3_distill.errors import ArgumentError
from sb3_distill.learners.population import Group, Learners
from sb3_distill.networks.anatomy import Network, actor_of, critic_of
from sb3_distill.networks.stacked import StackedNetwork
from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.policy import ArchitecturePolicy, draw_parameters
from sb3_distill.typing import Space


def checked_seeds(seeds: Sequence[int]) -> list[int]:
    """
    :param seeds: seeds of networks
    :return: the same as a list
    :raises ValueError: if there is none, or one is no seed
    """
    if not len(seeds):
        raise ArgumentError("`seeds` is empty: a score needs one network at least")
    return [drawn_seed(seed) for seed in seeds]


def template(architecture: PolicyArchitecture, observation_space: Space, action_space: Space) -> ArchitecturePolicy:
    """
    :param architecture: the architecture
    :param observation_space: observation space of the environment
    :param action_space: action space of the environment
    :return: a policy of it; PyTorch's global generator is left as it was
    :raises ValueError: if the architecture does not fit the spaces
    """
    with th.random.fork_rng(devices=[]):
        return ArchitecturePolicy(observation_space, action_space, lambda _: 0.0, architecture)


def initial_actors(policy: ArchitecturePolicy, seeds: Sequence[int]) -> Learners:
    """
    :param policy: a policy of the architecture
    :param seeds: seed of each actor
    :return: actors as the architecture draws them, learner i from seed i alone
    """
    return Learners([_stack(actor_of(policy), policy.architecture, seeds, policy.architecture.last_gain)])


def initial_critics(policy: ArchitecturePolicy, seeds: Sequence[int]) -> Group:
    """
    :param policy: a policy of the architecture
    :param seeds: seed of each critic
    :return: critics as the architecture draws them, with a last layer of gain 1
    """
    return _stack(critic_of(policy), policy.architecture, [seed + 2**61 for seed in seeds], 1.0)


def _stack(network: Network, architecture: PolicyArchitecture, seeds: Sequence[int], last_gain: float) -> Group:
    drawn = [
        draw_parameters(network, architecture, 1, th.Generator().manual_seed(seed), last_gain) for seed in seeds
    ]  # fmt: skip
    return Group(StackedNetwork(network), {name: th.cat([params[name] for params in drawn]) for name in drawn[0]})
