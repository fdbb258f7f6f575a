"""Grids of learner distributions, on each cell of which a dataset is evaluated."""

import itertools
import json
import os
import random
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TypeAlias

from sb3_distill.errors import ArgumentError
from sb3_distill.learners.architecture import ACTIVATIONS
from sb3_distill.learners.distribution import LearnerDistribution, LearnerDistributionLike
from sb3_distill.learners.named import ANY_INIT, TABLE_1
from sb3_distill.typing import Json

Grid: TypeAlias = str | os.PathLike[str] | Mapping[str, LearnerDistributionLike]
"""A name or a path, see ``load_grid``, or learner distributions by name."""
RANDOM = "random64"
"""Name of the grid of random networks."""
HELD_OUT = "random64b"
"""Name of the grid of random networks on which nothing is trained, tuned or chosen."""
FACTORS = "factors"
"""Name of the factorial grid, see ``factorial_cells``."""
STORED = (RANDOM, HELD_OUT, FACTORS)
"""Grids that are files beside this module."""
LEVELS: Json = {
    "width": [16, 51, 161, 512],
    "depth": [1, 2, 4, 8],
    "activation": ["tanh", "relu", "elu", "silu"],
    "init": ["orthogonal", "xavier_normal", "kaiming_normal", "pytorch"],
    "layer_norm": [False, False, True, True],
    "last_gain": [0.01, 0.01, 1.0, 1.0],
}
"""Factors of ``factorial_cells``, and the levels of each."""


def load_grid(grid: Grid) -> dict[str, LearnerDistributionLike]:
    """
    :param grid: ``"table1"``, the columns of Table 1 of Wilhelm & Ventura (2025) and one variant; ``"random64"``, 64 random
        networks of 16 to 512 units, 1 to 8 layers, five activations and five initialisations; ``"random64b"``, 64 others,
        which no shipped set was trained, tuned or chosen on; ``"factors"``, see ``factorial_cells``; the path of a JSON
        file; or the cells themselves
    :return: a learner distribution for each cell, by name
    :raises ValueError: for an unknown grid, or one without cells
    """
    if isinstance(grid, Mapping):
        cells = dict(grid)
    elif grid == "table1":
        cells = dict(TABLE_1)
    elif grid in STORED:
        cells = json.loads((resources.files("sb3_distill.evaluation") / f"{grid}.json").read_text())
    elif str(grid).endswith(".json") and Path(grid).is_file():
        try:
            cells = json.loads(Path(grid).read_text())
        except ValueError as error:
            raise ArgumentError(f"{grid} is not a JSON file: {error}") from error
    else:
        raise ArgumentError(
            f"unknown `grid` {str(grid)!r}; known are table1, {', '.join(STORED)}, or pass the path of a JSON file"
        )
    if not isinstance(cells, dict) or not cells:
        raise ArgumentError("a grid must be an object of learner distributions by name, with at least one")
    for name, cell in cells.items():  # every cell is checked before the first one is evaluated
        try:
            LearnerDistribution.parse(cell)
        except ValueError as error:
            raise ArgumentError(f"cell {name!r} of the grid: {error}") from error
    return cells


def random_cells(n: int = 64, seed: int = 0) -> dict[str, Json]:
    """
    The cells of ``"random64"`` (seed 0) and ``"random64b"`` (seed 3), whose files are made by
    ``python -m sb3_distill.evaluation.grids``.

    :param n: number of cells
    :param seed: seed of the draw
    :return: a learner component for each cell, by a name that describes it
    """
    rng = random.Random(seed)
    cells: dict[str, Json] = {}
    while len(cells) < n:
        cell = {
            "width": round(16 * 32 ** rng.random()),  # log-uniform in 16 to 512
            "depth": rng.randint(1, 8),
            "activation": rng.choice(list(ACTIVATIONS)),
            "init": rng.choice(ANY_INIT),
            "last_gain": rng.choice([0.01, 1.0]),
            "layer_norm": rng.random() < 0.25,
        }
        cells[_name(cell)] = cell
    return cells


def factorial_cells() -> dict[str, Json]:
    """
    64 of the 1,024 combinations of ``LEVELS``, among which all levels of any *three* factors occur together equally often. So
    the main effect of a factor is a difference of plain means, and no interaction of two others is in it.

    The cells are the points of a linear code over the field of four elements whose check columns are a hyperoval: an
    orthogonal array OA(64, 6, 4, 3), see Hedayat, Sloane & Stufken, *Orthogonal Arrays* (1999), chapter 3.

    :return: a learner component for each cell, by a name that describes it
    """
    hyperoval = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (1, 2, 3), (1, 3, 2))
    cells: dict[str, Json] = {}
    for point in itertools.product(range(4), repeat=3):
        levels = [_product(point, column) for column in hyperoval]
        cell = {name: values[level] for (name, values), level in zip(LEVELS.items(), levels, strict=True)}
        cells[_name(cell)] = cell
    return cells


def _product(left: Sequence[int], right: Sequence[int]) -> int:
    """The scalar product over the field of four elements 0, 1, w, w + 1, written 0 to 3: sums are exclusive or."""
    total = 0
    for a, b in zip(left, right, strict=True):
        total ^= 0 if 0 in (a, b) else (a + b - 2) % 3 + 1  # w^i w^j = w^(i + j)
    return total


def _name(cell: Json) -> str:
    norm = " norm" if cell["layer_norm"] else ""
    return f"{cell['depth']}x{cell['width']} {cell['activation']}{norm} {cell['init']} {cell['last_gain']:g}"


if __name__ == "__main__":
    for grid, cells in ((RANDOM, random_cells()), (HELD_OUT, random_cells(seed=3)), (FACTORS, factorial_cells())):
        Path(__file__).with_name(f"{grid}.json").write_text(json.dumps(cells, indent=1) + "\n")
