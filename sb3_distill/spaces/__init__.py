"""What the spaces of a task mean: checks, sizes, and their JSON form."""

from sb3_distill.spaces.checks import (
    SUPPORTED_ACTION_SPACES,
    SpacesOnly,
    check_action_space,
    check_observation_space,
    describe,
    difference,
    same_actions,
    same_kind,
    same_order,
    sees_images,
)
from sb3_distill.spaces.serialization import is_json, space_from_json, space_to_json
from sb3_distill.spaces.sizes import min_instances, n_classes, n_outputs, preprocessed_shape
from sb3_distill.spaces.values import decode, encode, plain

__all__ = [
    "SUPPORTED_ACTION_SPACES",
    "SpacesOnly",
    "check_action_space",
    "check_observation_space",
    "decode",
    "describe",
    "difference",
    "encode",
    "is_json",
    "min_instances",
    "n_classes",
    "n_outputs",
    "plain",
    "preprocessed_shape",
    "same_actions",
    "same_kind",
    "same_order",
    "sees_images",
    "space_from_json",
    "space_to_json",
]
