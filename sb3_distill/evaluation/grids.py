"""Grids of learner distributions, on each cell of which a dataset is evaluated."""

import json
import os
import random
from collections.abc import Mapping
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


def load_grid(grid: Grid) -> dict[str, LearnerDistributionLike]:
    """
    :param grid: ``"table1"``, the columns of Table 1 of Wilhelm & Ventura (2025) and one variant; ``"random64"``, 64 random
        networks of 16 to 512 units, 1 to 8 layers, five activations and five initialisations; the path of a JSON file; or
        the cells themselves
    :return: a learner distribution for each cell, by name
    :raises ValueError: for an unknown grid, or one without cells
    """
    if isinstance(grid, Mapping):
        cells = dict(grid)
    elif grid == "table1":
        cells = dict(TABLE_1)
    elif grid == RANDOM:
        cells = json.loads((resources.files("sb3_distill.evaluation") / f"{RANDOM}.json").read_text())
    elif str(grid).endswith(".json") and Path(grid).is_file():
        try:
            cells = json.loads(Path(grid).read_text())
        except ValueError as error:
            raise ArgumentError(f"{grid} is not a JSON file: {error}") from error
    else:
        raise ArgumentError(f"unknown `grid` {str(grid)!r}; known are table1 and {RANDOM}, or pass the path of a JSON file")
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
    The cells of ``"random64"``, whose file is made by ``python -m sb3_distill.evaluation.grids``.

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
        norm = " norm" if cell["layer_norm"] else ""
        name = f"{cell['depth']}x{cell['width']} {cell['activation']}{norm} {cell['init']} {cell['last_gain']:g}"
        cells[name] = cell
    return cells


if __name__ == "__main__":
    Path(__file__).with_name(f"{RANDOM}.json").write_text(json.dumps(random_cells(), indent=1) + "\n")
