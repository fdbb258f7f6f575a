"""Scikit-learn's digits: the split, the networks, and ordinary training. Needs ``pip install scikit-learn``."""

import numpy as np
import torch as th
from torch.nn.functional import cross_entropy

from sb3_distill import SupervisedDistillation
from sb3_distill.learners.distribution import LearnerDistribution
from sb3_distill.learners.population import Learners
from sb3_distill.supervised.examples import Examples
from sb3_distill.supervised.modules.sampler import sampler_for
from sb3_distill.typing import Array, Json

Pair = tuple[Array, Array]
"""Inputs ``(n, 64)`` and classes ``(n,)``."""
N_TRAIN, N_FIT = 1000, 800
"""The first 1000 of a fixed permutation of the 1797 images are for training, the other 797 for the test. Settings are chosen
on the last 200 of the 1000, by runs on the first 800."""
NETWORKS: dict[str, list[int]] = {"64-64": [64, 64], "16": [16]}
"""Widths of hidden layers, tanh, by name."""


def split() -> tuple[Pair, Pair]:
    """
    :return: 1000 images to distil, 797 for the test, by ``default_rng(0).permutation(1797)``; pixels are from 0 to 16
    """
    from sklearn.datasets import load_digits

    inputs, targets = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(inputs))
    train, test = order[:N_TRAIN], order[N_TRAIN:]
    return (inputs[train], targets[train]), (inputs[test], targets[test])


def validation_split() -> tuple[Pair, Pair]:
    """
    :return: the first 800 of the images to distil, and the last 200, on which settings are chosen
    """
    (inputs, targets), _ = split()
    return (inputs[:N_FIT], targets[:N_FIT]), (inputs[N_FIT:], targets[N_FIT:])


def policy_kwargs(network: str) -> Json:
    """Arguments of SB3's ``MlpPolicy`` for a key of ``NETWORKS``."""
    return {"net_arch": NETWORKS[network]}


def seen(data: Pair, inputs: Array) -> th.Tensor:
    """
    :param data: examples whose statistics normalise
    :param inputs: images ``(n, 64)``
    :return: what networks see of the images
    """
    return th.as_tensor(np.asarray(Examples.of(data).statistics()(inputs.astype(np.float32))))


def draw(run: SupervisedDistillation, n: int, seed: int) -> Learners:
    """
    :param run: says which learners
    :param n: number of learners
    :param seed: seed of the draw
    :return: untaught learners
    """
    policy, kwargs = run._policy
    sampler = sampler_for(run.dataset, LearnerDistribution(run.distiller.sampler.components), None, policy, kwargs)
    with th.no_grad():
        return sampler.sample(n, th.Generator().manual_seed(seed))


def train_on_everything(
    learners: Learners,
    inputs: th.Tensor,
    targets: th.Tensor,
    steps: int = 1000,
    learning_rate: float = 3e-3,
    batch_size: int = 128,
    seed: int = 0,
) -> Learners:
    """
    Ordinary training: Adam on minibatches of the cross-entropy; the rate falls to zero.

    :param learners: M initial learners
    :param inputs: what networks see ``(n, 64)``
    :param targets: classes ``(n,)``
    :param steps: number of steps
    :param learning_rate: first rate
    :param batch_size: examples of a step, other ones for each learner
    :param seed: seed of the minibatches
    :return: trained learners
    """
    generator, m = th.Generator().manual_seed(seed), learners.n_learners
    groups = [
        (group.network, {name: value.detach().clone().requires_grad_() for name, value in group.params.items()})
        for group in learners.groups
    ]
    trained = Learners(groups, learners.encode, m)
    parameters = [value for _, params in groups for value in params.values()]
    optimizer = th.optim.Adam(parameters, learning_rate, fused=True)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = learning_rate * (1 - step / steps)
        chosen = th.randint(len(inputs), (m, batch_size), generator=generator)
        optimizer.zero_grad()
        with th.enable_grad():
            (m * cross_entropy(trained(inputs[chosen]).flatten(0, 1), targets[chosen].flatten())).backward()
        optimizer.step()
    return trained
