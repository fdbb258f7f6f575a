"""Which factor matters."""

import numpy as np
import pytest

from sb3_distill.evaluation.grids import factorial_cells, load_grid
from sb3_distill.generalisation.factors import factor_levels, sensitivity

CELLS = factorial_cells()


def noise(scale=0.02, n_learners=4):
    return scale * np.random.default_rng(0).standard_normal((n_learners, len(CELLS)))


def test_the_factor_that_matters_is_found_on_the_factorial_grid():
    deep = np.array([cell["depth"] == 8 for cell in CELLS.values()])
    found = sensitivity(np.where(deep, 0.4, 1.0) + noise(), CELLS)
    assert found.note == ""
    effects = {effect.factor: effect for effect in found.effects}
    assert list(effects) == ["width", "depth", "activation", "init", "layer_norm", "last_gain"]
    depth = effects.pop("depth")
    assert depth.levels == ["1", "2", "4", "8"] and depth.share > 0.95
    assert depth.means[3].value == pytest.approx(0.4, abs=0.02) and depth.means[0].value == pytest.approx(1, abs=0.02)
    assert depth.spread.low > 0.55 and depth.spread.value > depth.noise
    assert all(effect.share < 0.01 and effect.spread.value < effect.noise for effect in effects.values())


def test_effects_of_two_factors_do_not_mix():
    score = [1 - 0.3 * (cell["activation"] == "relu") - 0.2 * cell["layer_norm"] for cell in CELLS.values()]
    effects = {effect.factor: effect for effect in sensitivity(score + noise(0.0), CELLS).effects}
    assert effects["activation"].spread.value == pytest.approx(0.3)
    assert effects["layer_norm"].spread.value == pytest.approx(0.2)
    assert effects["width"].spread.value == pytest.approx(0)


def test_a_grid_of_one_cell_has_a_sentence_and_no_nan():
    found = sensitivity(np.ones((3, 1)), {"only": {"width": 8}})
    assert found.effects == [] and "one cell has no factor" in found.note
    assert found.summary() == {"effects": {}, "note": found.note}


def test_cells_that_are_alike_have_no_nan():
    for effect in sensitivity(np.ones((2, len(CELLS))), CELLS).effects:
        assert effect.share == 0 and effect.spread.value == effect.noise == 0


def test_a_grid_that_is_not_balanced_says_so():
    cells = load_grid("random64")
    found = sensitivity(np.random.default_rng(0).random((3, 64)), cells)
    assert "not balanced" in found.note
    width = next(effect for effect in found.effects if effect.factor == "width")
    assert len(width.levels) == 4 and width.levels[0].startswith("17 to ")


def test_factors_that_are_drawn_anew_are_left_out():
    cells = {"a": {"width": [8, 16], "layer_norm": 0.5}, "b": {"width": 8, "depth": 3}, "c": {"width": 8, "layer_norm": True}}
    assert list(factor_levels(cells)) == ["depth"]
    assert "no factor" in sensitivity(np.ones((1, 2)), {"a": {"width": 8}, "b": {"width": 8}}).note
