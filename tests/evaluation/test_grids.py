"""The grids that are shipped."""

import itertools
from collections import Counter

from sb3_distill.evaluation.grids import FACTORS, HELD_OUT, LEVELS, RANDOM, factorial_cells, load_grid, random_cells


def test_stored_grids_are_what_their_functions_draw():
    assert load_grid(RANDOM) == random_cells()
    assert load_grid(HELD_OUT) == random_cells(seed=3)
    assert load_grid(FACTORS) == factorial_cells()


def test_the_held_out_grid_shares_no_cell_with_the_one_that_is_looked_at():
    assert not set(load_grid(RANDOM)) & set(load_grid(HELD_OUT))


def test_levels_of_any_three_factors_occur_together_equally_often():
    cells = factorial_cells()
    assert len(cells) == 64
    for names in itertools.combinations(LEVELS, 3):
        assert len(set(Counter(tuple(cell[name] for name in names) for cell in cells.values()).values())) == 1
