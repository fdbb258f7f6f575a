"""The protocol of Table 1: what is averaged over what."""

import inspect
import subprocess
import sys
import typing

import numpy as np
import pytest
from helpers import simplex_dataset

from sb3_distill import DatasetError, Evaluation, evaluate_learners, make_vec_env
from sb3_distill.evaluation import evaluate_grid


def test_figures_are_those_of_learners():
    returns = np.array([[0.0, 10.0], [20.0, 30.0], [5.0, 5.0], [100.0, 300.0]])
    evaluation = Evaluation(returns, deterministic=False)
    assert evaluation.mean == returns.mean()
    assert evaluation.std == np.std([5, 25, 5, 200])
    assert evaluation.iqm == np.mean([5, 25])
    low, high = evaluation.iqm_interval()
    assert 5 <= low <= evaluation.iqm <= high <= 200
    assert evaluation.summary()["n_learners"] == 4


def test_every_episode_counts_once_whatever_the_number_of_environments():
    dataset = simplex_dataset(2, 10.0)
    for max_envs in (3, 7, 10_000):
        evaluation = evaluate_learners(dataset, 3, 5, deterministic=True, max_envs=max_envs)
        assert evaluation.returns.shape == (3, 5) and (evaluation.returns > 0).all()


def test_the_seed_decides():
    dataset = simplex_dataset(3, 5.0, scale=0.5)
    one, two, other = (evaluate_learners(dataset, 3, 4, seed=seed).returns for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_other_learners_can_be_drawn():
    dataset = simplex_dataset(2, 10.0)
    own = evaluate_learners(dataset, 10, 10)
    gain_one = evaluate_learners(
        dataset, 10, 10, learner_distribution={"init": "orthogonal", "hidden_gain": 1.0, "last_gain": 1.0}
    )
    assert own.mean > 490 > gain_one.mean


def test_an_environment_can_be_given():
    dataset = simplex_dataset(2, 10.0)
    # A mean over enough episodes: few of them hang on the rounding of one processor.
    assert evaluate_learners(dataset, 10, 10, env=lambda n: make_vec_env("NDCartPole2D-v0", n)).mean > 490
    with pytest.raises(DatasetError, match=r"observation space Box\(8,\), the environment has Box\(4,\)"):
        evaluate_learners(dataset, 2, 2, env=lambda n: make_vec_env("CartPole-v1", n))
    dataset.info.env_id = None
    with pytest.raises(ValueError, match="pass one"):
        evaluate_learners(dataset, 2, 2)


@pytest.mark.parametrize("learners, episodes", [(0, 1), (1, 0)])
def test_numbers_must_be_positive(learners, episodes):
    with pytest.raises(ValueError, match="at least 1"):
        evaluate_learners(simplex_dataset(1, 10.0), learners, episodes)


def test_there_must_be_such_a_device():
    with pytest.raises(ValueError, match="`device` must be cpu, cuda, auto .*, got 'toaster'"):
        evaluate_learners(simplex_dataset(1, 10.0), 1, 1, device="toaster")


@pytest.mark.parametrize(
    "variant, column", [("wide-steps", "xe"), ("wide-steps", "random-l"), ("wide", "xe-1"), ("wide-sgd", "random-h")]
)
def test_wide_sets_teach_learners_that_start_otherwise(variant, column):
    assert evaluate_learners(f"NDCartPole2D-v0/{variant}", 10, 10, learner_distribution=column, seed=3).mean > 475


def test_results_say_how_learners_were_taught():
    dataset = simplex_dataset(1, 10.0)
    assert evaluate_learners(dataset, 2, 2).summary()["inner_loop"] == dataset.info.inner_loop
    assert evaluate_learners(dataset, 2, 2, teach=False).summary()["inner_loop"] is None


def test_a_grid_is_read_before_it_is_evaluated(tmp_path):
    dataset = simplex_dataset(1, 10.0)
    with pytest.raises(ValueError, match="cell 'b' of the grid: unknown activation 'sine'"):
        evaluate_learners(dataset, 2, 2, grid={"a": {"width": 8}, "b": {"activation": "sine"}})
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ValueError, match="broken.json is not a JSON file"):
        evaluate_learners(dataset, 2, 2, grid=tmp_path / "broken.json")


def test_a_grid_is_evaluated_cell_by_cell():
    dataset = simplex_dataset(1, 10.0)
    grid = {"own": {}, "narrow": {"width": 8, "init": "orthogonal"}}
    evaluations = evaluate_learners(dataset, 3, 2, True, grid=grid)
    assert list(evaluations) == list(grid)
    again = evaluate_grid(dataset, grid, 3, 2, True)
    for name, cell in grid.items():
        alone = evaluate_learners(dataset, 3, 2, True, learner_distribution=cell)
        np.testing.assert_array_equal(evaluations[name].returns, alone.returns)
        np.testing.assert_array_equal(again[name].returns, alone.returns)
    with pytest.raises(ValueError, match="at least 1"):
        evaluate_grid(dataset, grid, 0)


def test_type_checkers_see_every_argument():
    """An overload that hides some behind ``**kwargs`` would let misspelt names pass."""
    arguments = inspect.signature(evaluate_learners).parameters
    overloads = typing.get_overloads(evaluate_learners)
    assert len(overloads) == 2
    for overload in overloads:
        parameters = inspect.signature(overload).parameters
        assert list(parameters) == list(arguments)
        assert all(parameters[name].default == arguments[name].default for name in arguments if name != "grid")
    in_a_grid = inspect.signature(evaluate_grid).parameters
    assert set(in_a_grid) == set(arguments) - {"learner_distribution"}
    assert all(in_a_grid[name].default == arguments[name].default for name in in_a_grid if name != "grid")


def test_statistics_are_imported_when_they_are_needed():
    code = "import sys, sb3_distill.evaluation as e; assert e.Evaluation; sys.exit('scipy.stats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_numbers_of_learners_and_episodes_are_whole():
    for wrong in (0, 2.5):
        with pytest.raises(ValueError, match=f"must be at least 1 and whole, got {wrong} and 1"):
            evaluate_learners("CartPole-v1", wrong, 1)
