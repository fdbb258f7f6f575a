"""Which learners a supervised dataset teaches: modules of the user, or the actors of SB3's policies."""

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

from stable_baselines3.common.policies import BasePolicy
from torch import nn

from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.errors import ArgumentError
from sb3_distill.learners.distribution import LearnerDistribution
from sb3_distill.learners.factory import NetworkFactory
from sb3_distill.learners.sampler import LearnerSampler
from sb3_distill.spaces.sizes import n_outputs
from sb3_distill.supervised.modules.factory import FactoryOfModules, ModuleFactory, find_module
from sb3_distill.teaching.resolve_policy import resolve_policy

Sampler: TypeAlias = LearnerSampler[Any]
"""A sampler of learners of either kind."""


def sampler_for(
    dataset: SyntheticDataset,
    distribution: LearnerDistribution,
    module: ModuleFactory | None = None,
    policy: str | type[BasePolicy] | None = None,
    policy_kwargs: Mapping[str, Any] | None = None,
    allow_imports: Collection[str] = (),
) -> Sampler:
    """
    :param dataset: names the learners that it was made for
    :param distribution: their mixture
    :param module: makes learners; ``None`` for those of the dataset
    :param policy: SB3 policy whose actor is a learner, instead of a module
    :param policy_kwargs: its arguments
    :param allow_imports: modules that the caller trusts to make learners
    :return: a sampler of initial learners
    :raises DatasetError: if the dataset names a module that is not to be found
    :raises ValueError: for a module and a policy at once, or learners that do not fit the dataset
    """
    info, device = dataset.info, dataset.labels.device
    if module is not None and (policy is not None or policy_kwargs is not None):
        raise ArgumentError("`module` and `policy` exclude each other: both say what learners are")
    if module is None and policy is None and policy_kwargs is None and info.policy is None:
        module = find_module(info.module, allow_imports)
    if module is not None:
        if not callable(module) or isinstance(module, nn.Module):
            got = f"the module {type(module).__name__}" if isinstance(module, nn.Module) else repr(module)
            raise ArgumentError(f"`module` must be a function that makes an nn.Module, or its class, got {got}")
        factory: NetworkFactory = FactoryOfModules(module, info.observation_space.shape or (), n_outputs(info.action_space))
        return distribution.sampler(factory, device, dataset.statistics, dataset.encoder)
    policy_class, kwargs = resolve_policy(dataset, policy if policy or info.policy else "MlpPolicy", policy_kwargs)
    spaces = info.observation_space, info.action_space
    return distribution.bind(policy_class, kwargs, *spaces, device, dataset.statistics, dataset.encoder)
