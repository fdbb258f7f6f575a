"""The ablation of regularisers: its figures, and that the grid held out is looked at once."""

import argparse
import importlib
import itertools
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).parents[2]
CELLS = {f"cell {i}": {"width": 8 + i} for i in range(10)}


@pytest.fixture
def study(monkeypatch):
    """The module, with results in memory."""
    monkeypatch.syspath_prepend(str(REPOSITORY))
    module = importlib.import_module("benchmarks.studies.regularisers")
    kept = {}
    monkeypatch.setattr(module, "read", lambda name: dict(kept))
    monkeypatch.setattr(module, "write", lambda name, result: (kept.clear(), kept.update(result)))
    return module


@pytest.fixture
def options():
    return argparse.Namespace(
        settings=["2d-sgd"], regularisers=["cvar=0.3", "dropout=0.2"], seeds=[0, 1, 2], scale=1.0, learners=2, episodes=2
    )


@pytest.fixture
def looked_at(study, monkeypatch):
    """Grids on which anything was evaluated; dropout is better, and cvar costs too much in distribution."""
    grids = []

    def scored(name, dataset, grid, options, teach=True):
        grids.append(grid)
        mean = {"plain": 300.0, "cvar=0.3": 450.0, "dropout=0.2": 400.0}[dataset] if teach else 20.0
        own = 480.0 if dataset == "cvar=0.3" else 500.0
        return {"in_distribution": own, "cells": {cell: mean + i for i, cell in enumerate(CELLS)}}

    monkeypatch.setattr(study, "scored", scored)
    monkeypatch.setattr(study, "distilled", lambda name, regulariser, seed, scale: (regulariser, {}))
    return grids


def test_figures_by_hand(study):
    row, untaught = {"cells": {"a": 260.0, "b": 20.0}}, {"cells": {"a": 20.0, "b": 20.0}}
    assert study.normalised("2d-sgd", row, untaught).tolist() == [[0.5, 0.0]]
    assert study.sizes_of("plain") == {}
    assert study.sizes_of("cvar=0.3+dropout=0.2") == {"cvar": 0.3, "dropout": 0.2}


def test_intervals_hold_the_difference_of_paired_seeds(study):
    rng = np.random.default_rng(0)
    plain = rng.uniform(0, 0.5, size=(5, 1, 40)) + rng.normal(size=(5, 1, 1))
    difference = study.interval(plain, plain + 0.1)
    estimate, low, high = difference["cvar"]
    assert (estimate, low, high) == pytest.approx((0.1, 0.1, 0.1))  # whatever the seeds and cells
    estimate, low, high = study.interval(plain, plain + rng.normal(0.1, 0.2, size=plain.shape))["cvar"]
    assert low < estimate < high


def test_the_best_of_those_that_cost_nothing_in_distribution_is_chosen(study, options, looked_at, capsys):
    study.run(options)
    study.choose(options)
    assert "2d-sgd: dropout=0.2" in capsys.readouterr().out
    assert set(looked_at) == {study.FACTORS}


def test_the_grid_held_out_is_looked_at_once(study, options, looked_at):
    with pytest.raises(SystemExit, match="no regulariser is chosen"):
        study.confirm(options)
    assert not looked_at
    study.run(options)
    study.choose(options)
    looked_at.clear()
    study.confirm(options)
    n_runs = len(list(itertools.product(study.CONFIRMING_SEEDS, range(2))))
    assert looked_at == [study.HELD_OUT] * (n_runs + 1)  # and the untaught ones
    with pytest.raises(SystemExit, match="confirmed before"):
        study.confirm(options)
    assert len(looked_at) == n_runs + 1


def test_no_run_of_the_ablation_takes_what_its_inner_loop_has_not(study, options, looked_at, capsys):
    options.settings, options.regularisers = ["3d-ridge"], ["step_noise=0.5"]
    study.run(options)
    assert "step_noise" not in capsys.readouterr().out
