"""What learners are made of, as the sampler sees it."""

from typing import Protocol

from sb3_distill.learners.component import LearnerComponent
from sb3_distill.networks.anatomy import Network


class NetworkFactory(Protocol):
    """
    Builds the networks of learners. ``PolicyFactory`` makes them of SB3's policies. A class with these five members makes
    them of any module that is split into features, hidden layers and last layer.
    """

    @property
    def n_outputs(self) -> int:
        """Width of the labels, which every network must have as its outputs."""

    @property
    def target(self) -> str:
        """Name, for messages, of what needs ``n_outputs`` outputs."""

    def name(self, component: LearnerComponent) -> str:
        """
        :param component: part of a learner distribution
        :return: name of its network, for messages
        """

    def build(self, component: LearnerComponent, without_layers: bool) -> Network:
        """
        Build one network. Its initial parameters may come from torch's global generator, which the sampler seeds.

        :param component: part of a learner distribution
        :param without_layers: whether the network shall have no hidden layers, because the sampler draws them
        :return: a new network; where ``without_layers``, its head is linear and takes the features
        :raises ValueError: if there is no such network
        """

    def law(self, component: LearnerComponent, network: Network) -> str | None:
        """
        :param component: part of a learner distribution
        :param network: one of its networks, without the layers of an encoder
        :return: name of the initialisation (one of ``initialization.INITIALIZATIONS``) that ``build`` follows, so that many
            learners can be drawn at once; ``None`` if each learner must be built
        """
