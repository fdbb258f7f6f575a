"""Learners that are no SB3 policies: any module is distilled by the same core."""

import gymnasium as gym
import pytest
import torch as th
from torch import nn

from sb3_distill.dataset import DatasetInfo
from sb3_distill.dataset.start import draw_dataset
from sb3_distill.inner_loop import make_inner_loop
from sb3_distill.learners import LearnerDistribution, NetworkFactory
from sb3_distill.networks.anatomy import Network
from sb3_distill.outer_loop.distiller import Distiller
from sb3_distill.outer_loop.rates import FOLLOWING_RATES, step_sizes

IMAGES, CLASSES = gym.spaces.Box(-3, 3, (1, 4, 4)), gym.spaces.Discrete(2)


class Gate(nn.Module):
    """A module with code and a parameter of its own."""

    def __init__(self, width):
        super().__init__()
        self.gate = nn.Parameter(th.rand(width) + 0.5)

    def forward(self, inputs):
        return inputs * self.gate


class Classifiers:
    """Small networks for labelled images."""

    target = "a label"

    def __init__(self, n_outputs=2, law=None, gated=False):
        self.n_outputs, self._law, self._gated = n_outputs, law, gated

    def name(self, component):
        return "Classifier"

    def build(self, component, without_layers):
        features = nn.Sequential(nn.Flatten(), nn.Linear(16, 32), nn.ReLU(), *([Gate(32)] if self._gated else []))
        latent = nn.Sequential() if without_layers else nn.Sequential(nn.Linear(32, 16), nn.Tanh(), nn.Dropout(0.5))
        return Network(features, latent, nn.Linear(32 if without_layers else 16, 2))

    def law(self, component, network):
        return self._law


def labelled_images(n=256, seed=1):
    """Images of a bright or a dark bar under noise."""
    generator = th.Generator().manual_seed(seed)
    images, labels = th.randn(n, 1, 4, 4, generator=generator), th.randint(2, (n,), generator=generator)
    images[..., 0] += 3.0 * labels[:, None, None] - 1.5
    return images, labels


def distiller_of(factory: NetworkFactory, distribution=None, loop="sgd"):
    generator = th.Generator().manual_seed(0)
    inner_loop = make_inner_loop(loop, **({"learning_rate": 1.0} if loop == "sgd" else {}))
    info = DatasetInfo(IMAGES, CLASSES, inner_loop=inner_loop.settings())
    dataset = draw_dataset(4, inner_loop, info, generator)
    sampler = LearnerDistribution.parse(distribution).sampler(factory)
    return Distiller(dataset, sampler, 4, generator, step_sizes(0.05, dict.fromkeys(FOLLOWING_RATES), 1.0))


def answers(distiller, images):
    learners = distiller.teach(distiller.draw())
    return learners(images.expand(learners.n_learners, *images.shape))


@th.no_grad()
def accuracy(distiller):
    images, labels = labelled_images(seed=2)
    return float(th.stack([(answers(distiller, images).argmax(-1) == labels).float().mean() for _ in range(8)]).mean())


@pytest.mark.parametrize(
    "factory, distribution, loop",
    [
        (Classifiers(), None, "sgd"),
        (Classifiers(gated=True), None, "ridge"),
        (Classifiers(law="pytorch"), None, "ridge"),
        (Classifiers(), [{"width": [8, 24]}, {"init": "xavier_normal", "last_gain": 1.0}], "sgd"),
    ],
    ids=["built", "gated", "law", "mixture"],
)
def test_labelled_images_become_a_batch_that_teaches_fresh_modules(factory, distribution, loop):
    distiller = distiller_of(factory, distribution, loop)
    images, labels = labelled_images()
    before = accuracy(distiller)
    for _ in range(60):
        outputs = answers(distiller, images)
        loss = nn.functional.cross_entropy(outputs.flatten(0, 1), labels.repeat(len(outputs)))
        distiller.step(loss, max_grad_norm=1.0)
    assert accuracy(distiller) > max(0.85, before + 0.1)


def test_the_generator_decides_how_modules_start():
    state = th.get_rng_state()
    sampler = LearnerDistribution().sampler(Classifiers(gated=True))
    one, two, other = (sampler.sample(3, th.Generator().manual_seed(seed)).groups[0].params for seed in (1, 1, 2))
    assert th.equal(state, th.get_rng_state())
    assert all(one[name].equal(two[name]) and not one[name].equal(other[name]) for name in one)
    assert not one["features.3.gate"][0].equal(one["features.3.gate"][1])


def test_a_law_is_no_law_for_parameters_that_it_does_not_know():
    params = (
        LearnerDistribution().sampler(Classifiers(law="orthogonal", gated=True)).sample(2, th.Generator()).groups[0].params
    )
    assert (params["features.3.gate"] >= 0.5).all()


def test_modules_that_do_not_fit_the_labels_are_refused():
    with pytest.raises(ValueError, match="Classifier in `learner_distribution` has 2 outputs, a label needs 3"):
        LearnerDistribution().sampler(Classifiers(n_outputs=3))
