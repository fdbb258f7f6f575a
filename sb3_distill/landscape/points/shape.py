"""The shape of the networks that a landscape is drawn around, whose parameters are flat vectors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch as th
from stable_baselines3.common.policies import BasePolicy
from torch import nn

from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.errors import MisfitError, UnsupportedError
from sb3_distill.inner_loop.loop import InnerLoop
from sb3_distill.landscape.maths.layout import Layout
from sb3_distill.learners.population import Encode, Learners
from sb3_distill.networks.action_distribution import ActionDistribution, make_action_distribution
from sb3_distill.networks.anatomy import Network, actor_of, share_statistics
from sb3_distill.networks.stacked import StackedNetwork, stack_parameters
from sb3_distill.teaching.acting import Actor
from sb3_distill.teaching.resolve_policy import check_acts, resolve_policy
from sb3_distill.teaching.teach import build_policy, check_squashing
from sb3_distill.typing import Observations, Params

POINTS_AT_ONCE = 2**26
"""Numbers of parameters that are unfolded at once, which bounds the memory."""


@dataclass(frozen=True)
class Shape:
    """
    Networks of one shape, of which a point of a landscape is one.

    :param dataset: the dataset that teaches them
    :param network: their forward pass
    :param layout: how their parameters lie in a vector
    :param encoder_layers: first layers, which all share; ``None`` where the dataset has no encoder
    :param distribution: how actions follow from their outputs
    """

    dataset: SyntheticDataset
    network: StackedNetwork
    layout: Layout
    encoder_layers: nn.Module | None
    distribution: ActionDistribution

    @property
    def actor(self) -> Actor:
        """How these networks act in the dataset's environment."""
        return Actor(self.dataset, self.distribution, bool(self.dataset.info.policy_kwargs.get("normalize_images", True)))

    @property
    def encode(self) -> Encode | None:
        """The function of the encoder; ``None`` where there is none."""
        if self.dataset.encoder is None or self.encoder_layers is None:
            return None
        return self.dataset.encoder.bind(self.encoder_layers)

    def learners(self, points: th.Tensor) -> Learners:
        """
        :param points: parameters ``(M, d)``
        :return: the same as a population, which acts and is evaluated at once
        """
        return Learners([(self.network, self.layout.unflatten(points))], self.encode)

    def outputs(self, points: th.Tensor, inputs: Observations) -> th.Tensor:
        """
        :param points: parameters ``(M, d)``
        :param inputs: what the stacked networks see, behind an encoder if there is one ``(n, ...)``
        :return: ``(M, n, n_outputs)``, differentiable twice with respect to the points
        """
        assert isinstance(inputs, th.Tensor)
        shared = inputs.expand(len(points), *inputs.shape)
        return self.network.differentiable(self.layout.unflatten(points), shared)

    @th.no_grad()
    def teach(self, points: th.Tensor, labels: th.Tensor | None = None, learned: Params | None = None) -> th.Tensor:
        """
        :param points: initial parameters ``(M, d)``
        :param labels: labels to teach instead of the dataset's
        :param learned: learned numbers of the inner loop instead of the dataset's
        :return: taught parameters ``(M, d)``
        """
        learners = Learners([(self.network, self.layout.unflatten(points))], encoder_layers=self.encoder_layers)
        return self.layout.flatten(self.dataset.teach(learners, labels, learned=learned).groups[0].params)

    @property
    def inner_loop(self) -> InnerLoop:
        """How the dataset teaches."""
        return self.dataset.inner_loop


def shape_of(
    dataset: SyntheticDataset, policy: str | type[BasePolicy] | None, policy_kwargs: Mapping[str, Any] | None
) -> tuple[Shape, type[BasePolicy], Mapping[str, Any]]:
    """
    :param dataset: the dataset
    :param policy: alias or class; ``None`` for the one that the dataset names
    :param policy_kwargs: arguments of the policy
    :return: the shape of the networks, and the class and arguments of their policies
    :raises DatasetError: if the policy does not fit the dataset
    :raises TypeError: if the encoder holds all layers, so that there is nothing to move in, or observations are dicts
    """
    check_acts(dataset)
    policy_class, kwargs = resolve_policy(dataset, policy, policy_kwargs)
    built = build_policy(policy_class, dataset, kwargs, 0)
    check_squashing(dataset, built)
    network = actor_of(built.to(dataset.labels.device))
    built.set_training_mode(False)
    share_statistics(network, dataset.statistics)
    layers, rest = split(network, dataset)
    if rest is None:
        raise UnsupportedError(
            f"the encoder of this set holds all {dataset.encoder_layers} layers of its learners: nothing is taught, so that "
            "there is no landscape. Use a set of a lower level"
        )
    if isinstance(dataset.encode(), Mapping) and layers is None:
        raise UnsupportedError("landscapes are drawn for observations that are one tensor, this set has a dict of them")
    distribution = make_action_distribution(dataset.info.action_space, getattr(built, "action_dist", None))
    stacked = StackedNetwork(rest)
    shape = Shape(dataset, stacked, Layout.of(stack_parameters([rest])), layers, distribution)
    return shape, policy_class, kwargs


def split(network: Network, dataset: SyntheticDataset) -> tuple[nn.Module | None, Network | None]:
    """
    :param network: an actor
    :param dataset: its dataset
    :return: its layers that are the encoder's, with the encoder's parameters, and what is taught; ``None`` for what is not
    """
    if dataset.encoder is None:
        return None, network
    layers, rest = dataset.encoder.split(network)
    dataset.encoder.write_to(layers)
    return layers, rest


def inputs_of(shape: Shape) -> th.Tensor:
    """
    :param shape: networks of one shape
    :return: distilled observations as the stacked networks see them, behind an encoder if there is one ``(k, ...)``
    """
    with th.no_grad():
        inputs = shape.dataset.encode(shape.encode)
    assert isinstance(inputs, th.Tensor)
    return inputs.detach()


def parameters_of(shape: Shape, policy: BasePolicy) -> th.Tensor:
    """
    :param shape: networks of one shape
    :param policy: a policy
    :return: parameters of its actor behind the encoder ``(1, d)``
    :raises DatasetError: if its actor has other layers
    """
    _, rest = split(actor_of(policy), shape.dataset)
    assert rest is not None
    params = stack_parameters([rest])
    found = Layout.of(params)
    if dict(found.shapes) != dict(shape.layout.shapes):
        raise MisfitError(
            f"the RL-trained policy has other layers ({_in_words(found)}) than the learners of the set "
            f"({_in_words(shape.layout)}): train one of the same policy and `policy_kwargs`"
        )
    return shape.layout.flatten(params).to(shape.dataset.labels.device)


def _in_words(layout: Layout) -> str:
    return ", ".join("x".join(map(str, shape)) for shape in layout.shapes.values() if len(shape) > 1)
