"""The keyword arguments of an SB3 policy in JSON form."""

from collections.abc import Mapping

from stable_baselines3.common import torch_layers
from torch import nn

from sb3_distill.errors import ArgumentError
from sb3_distill.spaces.serialization import is_json
from sb3_distill.spaces.values import plain
from sb3_distill.typing import Json, Kwargs


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
