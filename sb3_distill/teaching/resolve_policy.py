"""Policies by name: which class with which arguments a dataset is taught to."""

from collections.abc import Mapping
from typing import Any, cast

from stable_baselines3.common.policies import BasePolicy

from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.errors import ArgumentError, DatasetError, MisfitError
from sb3_distill.networks.policy_aliases import POLICIES
from sb3_distill.networks.policy_kwargs import check_policy_kwargs, kwargs_of_the_set, policy_kwargs_from_json


def check_acts(dataset: SyntheticDataset) -> None:
    """
    :param dataset: a dataset that a policy is to be made of
    :raises DatasetError: if its labels are in units of their own, which a policy does not know of
    """
    if "target_std" in dataset.info.data:
        raise MisfitError(
            "the dataset predicts numbers in units of its data, which no policy knows of: evaluate_supervised and "
            "teach_module predict them"
        )


def resolve_policy(
    dataset: SyntheticDataset, policy: str | type[BasePolicy] | None, policy_kwargs: Mapping[str, Any] | None
) -> tuple[type[BasePolicy], dict[str, Any]]:
    """
    :param dataset: names a policy and its arguments
    :param policy: an alias or a class; ``None`` for the dataset's
    :param policy_kwargs: its arguments; ``None`` for the dataset's if ``policy`` is ``None`` too, else none
    :raises ValueError: for an unknown alias, or arguments that are no dict
    :raises DatasetError: if the dataset was made with a custom policy, whose class a file does not carry
    """
    if isinstance(policy, str) and policy not in POLICIES:
        raise ArgumentError(f"unknown `policy` {policy!r}; known are {', '.join(POLICIES)}, or pass a class")
    if policy is None and dataset.info.policy is None and dataset.info.module is not None:
        raise DatasetError(
            f"the dataset was made for modules ({dataset.info.module}), which are no policies: SupervisedEnsemble "
            "and teach_module make what predicts, or pass a `policy`"
        )
    if policy is None and dataset.info.policy is None:
        raise DatasetError("the dataset was made with a custom policy: pass its class as `policy`")
    if policy is None and dataset.info.policy not in POLICIES:
        raise DatasetError(f"the dataset names an unknown policy {dataset.info.policy!r}; known are {', '.join(POLICIES)}")
    if (
        policy is not None
        and not isinstance(policy, str)
        and not (isinstance(policy, type) and issubclass(policy, BasePolicy))
    ):
        raise ArgumentError(f"`policy` must be an alias, a policy class or a policy, got {policy!r}")
    if isinstance(policy, type):
        taught = getattr(policy, "taught_class", policy)  # the class of a taught policy stands for the one that it was
        if taught is None:
            raise ArgumentError(f"`policy` must be a class of SB3 that a {policy.__name__} can be made of, such as MlpPolicy")
        policy = taught
    if policy_kwargs is None:
        policy_kwargs = policy_kwargs_from_json(dataset.info.policy_kwargs) if policy is None else {}
    check_policy_kwargs(policy_kwargs)
    name = policy or dataset.info.policy
    policy_class = cast("type[BasePolicy]", POLICIES[name] if isinstance(name, str) else name)
    return policy_class, {**kwargs_of_the_set(dataset.info.policy_kwargs, policy_class), **policy_kwargs}
