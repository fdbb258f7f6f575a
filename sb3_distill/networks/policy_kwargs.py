"""The keyword arguments of an SB3 policy in JSON form."""

from collections.abc import Callable, Mapping

from stable_baselines3.common import torch_layers
from torch import nn

from sb3_distill.errors import ArgumentError
from sb3_distill.networks.anatomy import takes_argument
from sb3_distill.spaces.serialization import is_json
from sb3_distill.spaces.values import plain
from sb3_distill.typing import Json, Kwargs

OF_THE_SET = ("normalize_images", "use_sde", "squash_output")
"""Arguments that say what enters a network and what its outputs mean: a matter of the set, whatever network it teaches."""


def kwargs_of_the_set(
    policy_kwargs: Mapping[str, object], policy_class: Callable[..., object] | None = None
) -> dict[str, object]:
    """
    :param policy_kwargs: arguments of the policy that a set was made with
    :param policy_class: the policy that it teaches; ``None`` for any
    :return: those that any policy for the set must have, as far as it takes them
    """
    names = OF_THE_SET if policy_class is None else [one for one in OF_THE_SET if takes_argument(policy_class, one)]
    return {name: policy_kwargs[name] for name in names if name in policy_kwargs}


def check_policy_kwargs(policy_kwargs: object) -> None:
    """
    :param policy_kwargs: an argument of that name
    :raises ValueError: if it is no dict
    """
    if not isinstance(policy_kwargs, Mapping):
        raise ArgumentError(f"`policy_kwargs` must be a dict of arguments of the policy, got {policy_kwargs!r}")


def policy_kwargs_to_json(policy_kwargs: Mapping[str, object]) -> Json | None:
    """
    :param policy_kwargs: keyword arguments of an SB3 policy; torch's activations and SB3's extractors are stored by name
    :return: a JSON object, or ``None`` if an argument has no name to be stored by
    """
    result: Json = {}
    for key, value in policy_kwargs.items():
        if key in ("optimizer_class", "optimizer_kwargs", "share_features_extractor"):
            continue  # these concern training, not the actor
        value = plain(value)
        if isinstance(value, type):
            name = value.__name__
            if value not in (getattr(nn, name, None), getattr(torch_layers, name, None)):
                return None
            value = {"class": name}
        elif not is_json(value):
            return None
        result[key] = value
    return result


def recorded_policy(name: str | None, policy_kwargs: Mapping[str, object]) -> Kwargs:
    """
    :param name: alias of the policy; ``None`` for a custom class
    :param policy_kwargs: its keyword arguments
    :return: ``policy`` and ``policy_kwargs`` of a ``DatasetInfo``, which names the policy where JSON can hold its arguments,
        and says in any case what belongs to the set
    :raises ValueError: if ``policy_kwargs`` is no dict
    """
    check_policy_kwargs(policy_kwargs)
    as_json = policy_kwargs_to_json(policy_kwargs)
    if as_json is None:
        return {"policy": None, "policy_kwargs": kwargs_of_the_set(policy_kwargs)}
    return {"policy": name, "policy_kwargs": as_json}


def policy_kwargs_from_json(data: Json) -> Kwargs:
    """
    :param data: result of ``policy_kwargs_to_json``
    :return: keyword arguments of an SB3 policy
    :raises ValueError: if a class is neither torch's nor SB3's
    """
    return {key: _restore(value) for key, value in data.items()}


def _restore(value: object) -> object:
    if not (isinstance(value, dict) and set(value) == {"class"}):
        return value
    name = value["class"]
    restored = getattr(nn, name, None) or getattr(torch_layers, name, None)
    if not (isinstance(restored, type) and issubclass(restored, nn.Module)):
        raise ArgumentError(f"unknown class {name!r} in the policy's arguments")
    return restored
