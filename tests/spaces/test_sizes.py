"""Eq. 3 of the paper, and widths and shapes that follow from spaces."""

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.preprocessing import preprocess_obs

from sb3_distill.spaces import min_instances, n_classes, n_outputs, preprocessed_shape

BOX = spaces.Box(-1, 1, (2, 3))


@pytest.mark.parametrize("n_actions, k_min", [(2, 2), (3, 3), (4, 3), (5, 4), (6, 4), (18, 10), (20, 11)])
def test_eq_3_for_discrete_actions(n_actions, k_min):
    assert min_instances(spaces.Discrete(n_actions)) == k_min


@pytest.mark.parametrize(
    "space, classes, outputs",
    [(spaces.MultiDiscrete([2, 3]), 5, 5), (spaces.MultiBinary(3), 6, 3), (spaces.MultiBinary([2, 3]), 12, 6)],
)
def test_classes_and_outputs_of_several_choices(space, classes, outputs):
    assert n_classes(space) == classes
    assert n_outputs(space) == outputs


def test_continuous_actions_have_means_but_no_classes():
    assert n_outputs(BOX) == 6
    with pytest.raises(ValueError, match="Eq. 3 counts discrete actions.*choose `n_instances` yourself"):
        min_instances(BOX)


@pytest.mark.parametrize(
    "space",
    [
        BOX,
        spaces.Box(0, 255, (3, 40, 40), np.uint8),
        spaces.Discrete(4),
        spaces.MultiDiscrete([2, 3]),
        spaces.MultiBinary(3),
    ],
)
def test_shapes_are_those_after_sb3s_preprocessing(space):
    space.seed(0)
    sample = th.as_tensor(space.sample())[None]
    shape = tuple(preprocess_obs(sample, space).shape[1:])
    assert preprocessed_shape(space) == shape
    assert preprocessed_shape(spaces.Dict(a=space, b=BOX)) == {"a": shape, "b": (2, 3)}


def test_spaces_without_a_shape_are_refused():
    for space in (spaces.Text(3), spaces.Dict(a=spaces.Text(3))):
        with pytest.raises(ValueError, match="SB3's policies take no Text observations"):
            preprocessed_shape(space)
