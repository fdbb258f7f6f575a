"""The core without reinforcement learning: any outer loss distils any data."""

import gymnasium as gym
import pytest
import torch as th

from sb3_distill.dataset import DatasetInfo
from sb3_distill.dataset.start import draw_dataset
from sb3_distill.inner_loop import make_inner_loop
from sb3_distill.learners.distribution import LearnerDistribution
from sb3_distill.networks.policy_aliases import POLICIES
from sb3_distill.outer_loop.distiller import Companion, Distiller
from sb3_distill.outer_loop.rates import FOLLOWING_RATES, step_sizes

INPUTS, CLASSES = gym.spaces.Box(-3, 3, (2,)), gym.spaces.Discrete(2)


def distiller_of(loop="sgd", companions=(), n_steps=1):
    generator = th.Generator().manual_seed(0)
    inner_loop = make_inner_loop(loop, **({"learning_rate": 1.0, "n_steps": n_steps} if loop == "sgd" else {}))
    dataset = draw_dataset(4, inner_loop, DatasetInfo(INPUTS, CLASSES, inner_loop=inner_loop.settings()), generator)
    sampler = LearnerDistribution().bind(POLICIES["MlpPolicy"], dict(net_arch=[16]), INPUTS, CLASSES)
    steps = step_sizes(0.02, dict.fromkeys(FOLLOWING_RATES), 1.0)
    return Distiller(dataset, sampler, 4, generator, steps, companions=companions)


def loss_of(distiller, inputs, labels):
    learners = distiller.teach(distiller.draw())
    outputs = learners(inputs.expand(learners.n_learners, *inputs.shape))
    return th.nn.functional.cross_entropy(outputs.flatten(0, 1), labels.repeat(learners.n_learners))


@pytest.mark.parametrize("loop", ["sgd", "ridge"])
def test_labelled_data_become_a_batch_that_teaches_fresh_learners(loop):
    distiller = distiller_of(loop)
    inputs = th.randn(256, 2, generator=th.Generator().manual_seed(1))
    labels = (inputs.sum(dim=1) > 0).long()
    first = loss_of(distiller, inputs, labels).item()
    for _ in range(150):
        distiller.step(loss_of(distiller, inputs, labels), max_grad_norm=0.5)
    assert loss_of(distiller, inputs, labels).item() < 0.6 * first


def test_a_gradient_that_is_not_finite_changes_nothing():
    distiller = distiller_of()
    before = {name: value.clone() for name, value in distiller.dataset.state_dict().items()}
    inputs = th.full((8, 2), float("nan"))
    norm = distiller.step(loss_of(distiller, inputs, th.zeros(8, dtype=th.long)), max_grad_norm=0.5)
    assert not norm.isfinite()
    assert all(value.equal(before[name]) for name, value in distiller.dataset.state_dict().items())


def test_gradients_of_diverging_learners_are_counted_once():
    distiller = distiller_of(n_steps=4)
    learners = distiller.draw()
    learners.groups[0].params["head.weight"][1] *= 1e30
    taught = distiller.teach(learners)
    assert distiller.take_discarded_count() == 0
    taught = distiller.teach(learners)
    distiller.step(taught(th.randn(4, 8, 2)).mean(), max_grad_norm=0.5)
    assert distiller.take_discarded_count() == int(taught.n_discarded) > 0
    assert distiller.take_discarded_count() == 0


def test_companions_learn_from_the_same_loss_and_are_clipped_apart():
    weight = th.nn.Parameter(th.ones(3))
    distiller = distiller_of(companions=[Companion([weight], th.optim.SGD([weight], lr=1.0))])
    loss = loss_of(distiller, th.randn(8, 2), th.zeros(8, dtype=th.long)) + 100 * weight.sum()
    distiller.step(loss, max_grad_norm=0.5)
    assert (1 - weight).norm().item() == pytest.approx(0.5, rel=1e-3)


def test_step_sizes_and_weight_decay_reach_their_groups():
    distiller = distiller_of()
    distiller.set_step_sizes({**dict.fromkeys(FOLLOWING_RATES, 0.0), "learning": 0.3}, weight_decay=0.7)
    groups = {group["name"]: (group["lr"], group["weight_decay"]) for group in distiller.optimizer.param_groups}
    assert groups == {"learning": (0.3, 0.7), "labels": (0.0, 0.0), "rates": (0.0, 0.0)}
