import json
import math

import optuna
import pytest

from sb3_distill.search.space import SPACES, SearchSpace


@pytest.mark.parametrize("name", list(SPACES))
def test_named_spaces_draw_networks_that_differ(name):
    drawn = SearchSpace.parse(name).draw(30, seed=1)
    assert len({one.key for one in drawn}) == 30
    assert drawn == SearchSpace.parse(name).draw(30, seed=1)
    assert drawn[:10] == SearchSpace.parse(name).draw(10, seed=1)


def test_widths_are_drawn_from_their_logarithm():
    widths = [one.widths[0] for one in SearchSpace.parse({"width": {"low": 100, "high": 1_000_000}}).draw(300)]
    assert 0.4 < sum(width < 10_000 for width in widths) / 300 < 0.6


def test_layers_may_differ():
    drawn = SearchSpace.parse({"width": [4, 8], "depth": 3, "per_layer": True}).draw(8)
    assert {len(one.widths) for one in drawn} == {3}
    assert len({one.widths for one in drawn}) == 8


def test_a_trial_of_optuna_draws_as_well():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space = SearchSpace.parse({"width": {"low": 8, "high": 64}, "learning_rate": {"low": 1e-4, "high": 1e-2}})
    architecture = space.suggest(study.ask())
    assert 8 <= architecture.widths[0] <= 64
    assert 1e-4 <= architecture.learning_rate <= 1e-2


def test_a_file_is_a_space(tmp_path):
    path = tmp_path / "space.json"
    path.write_text(json.dumps({"width": [4, 8]}))
    assert SearchSpace.parse(path) == SearchSpace(width=[4, 8])
    path.write_text("{")
    with pytest.raises(ValueError, match="no JSON|not a JSON"):
        SearchSpace.parse(path)


def test_the_number_of_choices():
    assert SearchSpace(width=[4, 8], depth=[1, 2, 3]).n_choices == 6
    assert SearchSpace(width={"low": 4, "high": 8}).n_choices == 5
    assert SearchSpace(last_gain={"low": 0.1, "high": 1.0}).n_choices == math.inf
    with pytest.raises(ValueError, match="only 2 architectures"):
        SearchSpace(width=[4, 8]).draw(3)


@pytest.mark.parametrize(
    "space, words",
    [
        ({}, "nothing to choose"),
        ({"width": 8, "depth": [2]}, "nothing to choose"),
        ({"width": [8, 8]}, "nothing to choose"),
        ({"width": {"low": 9, "high": 8}}, "`width`"),
        ({"width": {"low": 8}}, "`width`"),
        ({"width": []}, "`width`"),
        ({"width": [8.5, 9]}, "`width`"),
        ({"activation": ["tanh", "swish"]}, "`activation`"),
        ({"layer_norm": [0, 1]}, "`layer_norm`"),
        ({"widths": [1, 2]}, "unknown field 'widths'"),
        ("perceptrons", "known are mlp, cnn"),
        ({"width": [1, 2], "per_layer": 1}, "`per_layer`"),
    ],
)
def test_bad_spaces_are_named(space, words):
    with pytest.raises(ValueError, match=words):
        SearchSpace.parse(space)
