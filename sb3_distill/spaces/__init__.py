"""What the spaces of a task mean: checks, sizes, and their JSON form."""

from sb3_distill.spaces.checks import (
    SUPPORTED_ACTION_SPACES,
    SpacesOnly,
    check_action_space,
    check_observation_space,
    describe,
    difference,
    same_kind,
    sees_images,
)
from sb3_distill.spaces.serialization import is_json, space_from_json, space_to_json
from sb3_distill.spaces.sizes import min_instances, n_classes, n_outputs, preprocessed_shape

__all__ = [
    "SUPPORTED_ACTION_SPACES",
    "SpacesOnly",
    "check_action_space",
    "check_observation_space",
    "describe",
    "difference",
    "is_json",
    "min_instances",
    "n_classes",
    "n_outputs",
    "preprocessed_shape",
    "same_kind",
    "sees_images",
    "space_from_json",
    "space_to_json",
]
