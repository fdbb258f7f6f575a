"""The keyword arguments of an SB3 policy in JSON form."""

from collections.abc import Mapping
from typing import Any

from stable_baselines3.common import torch_layers
from torch import nn

from sb3_distill.errors import ArgumentError
from sb3_distill.spaces.serialization import is_json
from sb3_distill.typing import Json


def policy_kwargs_to_json(policy_kwargs: Mapping[str, Any]) -> Json | None:
    """
    :param policy_kwargs: keyword arguments of an SB3 policy; torch activations and SB3's extractors are stored by name
    :return: a JSON object, or ``None`` if something in it cannot be named
    """
    result: Json = {}
    for key, value in policy_kwargs.items():
        if key in ("optimizer_class", "optimizer_kwargs", "share_features_extractor"):
            continue  # these concern training, not the actor
        if isinstance(value, type):
            name = value.__name__
            if value not in (getattr(nn, name, None), getattr(torch_layers, name, None)):
                return None
            value = {"class": name}
        elif not is_json(value):
            return None
        result[key] = value
    return result


def policy_kwargs_from_json(data: Json) -> dict[str, Any]:
    """
    :param data: what ``policy_kwargs_to_json`` returned
    :raises ValueError: if a class is neither torch's nor SB3's
    """

    def restore(value: Any) -> Any:
        if not (isinstance(value, dict) and set(value) == {"class"}):
            return value
        found: Any = getattr(nn, value["class"], None) or getattr(torch_layers, value["class"], None)
        if not (isinstance(found, type) and issubclass(found, nn.Module)):
            raise ArgumentError(f"unknown class {value['class']!r} in the policy's arguments")
        return found

    return {key: restore(value) for key, value in data.items()}
