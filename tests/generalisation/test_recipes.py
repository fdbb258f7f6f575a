"""Ordinary training on the batch, and what of it is the recipe's merit."""

from functools import partial

import numpy as np
import pytest
import torch as th
from helpers import simplex_dataset
from torch import nn

from sb3_distill import PPMO, evaluate_learners, make_vec_env
from sb3_distill.generalisation.recipes import Recipe, RecipeScores, random_batch, recipe_robust_score
from sb3_distill.learners.population import Learners
from sb3_distill.networks.anatomy import Network
from sb3_distill.networks.stacked import StackedNetwork, stack_parameters


def taught_by(recipe, **kwargs):
    dataset = simplex_dataset(2, 10.0)
    return evaluate_learners(dataset, 4, 4, teach=partial(recipe.train, dataset, **kwargs))


def test_a_recipe_does_what_a_loop_of_ones_own_does():
    dataset, recipe = simplex_dataset(2, 10.0), Recipe("adam", 1e-2, 30)
    network = Network(nn.Flatten(), nn.Sequential(nn.Linear(8, 5), nn.Tanh()), nn.Linear(5, 4))
    learners = Learners([(StackedNetwork(network), stack_parameters([network]))])
    trained = recipe.train(dataset, learners)
    optimizer = th.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        (network(dataset.observations) - dataset.labels).square().mean().backward()
        optimizer.step()
    th.testing.assert_close(trained.groups[0].params["head.weight"][0], network.head.weight)


@pytest.mark.parametrize("random_data", [None, 0])
def test_layers_behind_an_encoder_are_trained(random_data):
    env = make_vec_env("NDCartPole1D-v0", 8)
    dataset = PPMO("MlpPolicy", env, n_steps=8, seed=0, encoder_layers=1).dataset
    first_layers = [value.clone() for value in dataset.encoder.parameters()]
    distances = []

    def teach(learners):
        trained = Recipe("adam", 1e-2, 5).train(dataset, learners, random_data)
        for before, after in zip(learners.groups, trained.groups, strict=True):
            distances.append((after.params["head.weight"] - before.params["head.weight"]).abs().max().item())
        return trained

    assert evaluate_learners(dataset, 2, 1, teach=teach).mean > 0
    assert min(distances) > 1e-3
    assert all((value == before).all() for value, before in zip(dataset.encoder.parameters(), first_layers, strict=True))


def test_random_data_teach_less():
    recipe = Recipe("adam", 1e-2, 200)
    assert taught_by(recipe).mean > taught_by(recipe, random_data=0).mean + 20


def test_random_data_have_the_scales_of_the_set_and_not_its_pairs():
    observations, labels = 3 + 2 * th.randn(50, 4), th.randn(50, 2)
    generator = th.Generator().manual_seed(0)
    drawn, shuffled = random_batch(observations, labels, 3, generator)
    assert drawn.shape == (3, 50, 4) and shuffled.shape == (3, 50, 2)
    th.testing.assert_close(drawn.mean(dim=(0, 1)), observations.mean(dim=0), atol=0.7, rtol=0)
    for one in shuffled:
        assert (one != labels).any()
        th.testing.assert_close(one.sort(dim=0).values, labels.sort(dim=0).values)
    alone, label = random_batch(observations[:1], labels[:1], 2, generator)
    th.testing.assert_close(alone, observations[:1].expand(2, 1, 4))
    assert (label == labels[:1]).all()


def test_a_learner_that_diverges_stays_as_it_was():
    assert taught_by(Recipe("sgd", 1e6, 200)).mean < 100


@pytest.mark.parametrize("arguments", [("lion", 1e-3, 10), ("adam", 0.0, 10), ("adam", 1e-3, 0)])
def test_recipes_must_make_sense(arguments):
    with pytest.raises(ValueError, match="unknown `optimizer` 'lion'|needs a positive rate"):
        Recipe(*arguments)


def test_the_score_subtracts_what_the_recipe_alone_gives():
    assert recipe_robust_score([(1, 0)]) == pytest.approx(100)
    assert recipe_robust_score([(0, 1)]) == pytest.approx(0)
    good, no_better_than_random, poor = (recipe_robust_score([pair]) for pair in [(0.9, 0.1), (0.9, 0.9), (0.1, 0.1)])
    assert good > no_better_than_random > poor
    assert recipe_robust_score([(1, 0), (0, 0)]) < 100
    assert recipe_robust_score([(1.4, -0.2)]) == pytest.approx(100)
    with pytest.raises(ValueError, match="a recipe at least"):
        recipe_robust_score([])


def test_rows_pair_the_dataset_with_random_data():
    r = np.random.default_rng(0).random((5, 4))
    scores = RecipeScores([Recipe()], [r], [r - 0.25])
    taught, random, difference = scores.rows()["adam, 0.001, 1000 steps"]
    assert taught.value - random.value == pytest.approx(0.25)
    np.testing.assert_allclose(difference, 0.25)
    assert scores.summary()["recipes"][0]["improvement"]["value"] == pytest.approx(0.25)
