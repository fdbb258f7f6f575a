"""The actor of a model's policy, which acts as one of the learners would."""

import copy

import torch as th
from stable_baselines3.common.policies import ActorCriticPolicy

from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.errors import ArgumentError
from sb3_distill.learners.population import Learners
from sb3_distill.networks.anatomy import Network, parameters_in_use, share_statistics, statistics_of
from sb3_distill.networks.encoder import split
from sb3_distill.networks.stacked import StackedNetwork, stack_parameters, write_parameters
from sb3_distill.spaces.sizes import preprocessed_shape
from sb3_distill.teaching.running_statistics import check_statistics, keepers_of
from sb3_distill.trees import map_leaves
from sb3_distill.typing import Observations


class PolicyActor:
    """
    One fixed draw of a learner, taught anew whenever the dataset has changed: ``predict``, callbacks and a saved model see it.

    :param policy: the policy whose actor it is; its parameters are changed in place
    :param actor: the actor, see ``networks.anatomy.actor_of``
    :param encoder_layers: how many of its first layers are the encoder's
    :raises ValueError: if the actor cannot be cut there, has frozen parameters, or running statistics that cannot be shared
    """

    def __init__(self, policy: ActorCriticPolicy, actor: Network, encoder_layers: int) -> None:
        if frozen := [name for name, value in actor.named_parameters() if not value.requires_grad]:
            raise ArgumentError(
                f"`{frozen[0]}` of the actor is frozen, but learners are drawn anew and taught in all layers: compute fixed "
                "features in a wrapper of the environment"
            )
        zeros = map_leaves(
            lambda shape: th.zeros(1, *shape, device=policy.device), preprocessed_shape(policy.observation_space)
        )
        check_statistics(actor, zeros)
        self.network = actor
        self.layers, rest = split(actor, encoder_layers)
        """The encoder's layers; ``None`` without an encoder."""
        self.rest = None if rest is None else StackedNetwork(rest)
        """The layers that are taught; ``None`` where the encoder has all."""
        self.initial = copy.deepcopy(actor)
        """The initial parameters, which are part of the model."""
        used = parameters_in_use(actor, zeros)
        self.parameter_ids = {id(actor.get_parameter(name)) for name in used}
        """Identities of the parameters that actions depend on: those are not the critic's."""
        self._taught = [] if rest is None else [n for n, value in rest.named_parameters() if id(value) in self.parameter_ids]
        self.statistics = statistics_of(actor)
        """Running statistics by name; all learners share these tensors."""

    @th.no_grad()
    def teach(self, dataset: SyntheticDataset) -> None:
        """
        :param dataset: what the initial parameters are taught now
        """
        if dataset.encoder is not None and self.layers is not None:
            dataset.encoder.write_to(self.layers)
        if self.rest is not None:
            initial = stack_parameters([self.initial])
            params = {name: initial[name] for name, _ in self.rest.template.named_parameters()}
            taught = dataset.teach(Learners([(self.rest, params)], encoder_layers=self.layers)).groups[0].params
            write_parameters(self.rest.template, {name: taught[name] for name in self._taught})
        if dataset.log_input_scale is not None:  # the policy sees observations without their learned weights
            first = self.network.first_layer()
            assert isinstance(first, th.nn.Linear)
            first.weight.mul_(dataset.input_scale)

    @th.no_grad()
    def update_statistics(self, inputs: Observations) -> None:
        """
        Let running statistics (of batch norms, and of a user's modules) follow. Learners act and learn with these statistics
        fixed, as a taught policy will.

        :param inputs: preprocessed observations ``(b, ...)``
        """
        keepers = keepers_of(self.network)
        for module in keepers:
            module.training = True
        self.network(inputs)
        for module in keepers:
            module.training = False
        for name, value in statistics_of(self.network).items():
            shared = self.statistics[name]
            if value is not shared:  # a module put a new tensor in its place
                shared.copy_(value)
        share_statistics(self.network, self.statistics)

    def take_statistics_of(self, dataset: SyntheticDataset) -> None:
        """
        :param dataset: source of running statistics, whose values go into the tensors that all learners share
        """
        for network in (self.network, self.initial):
            for name, value in statistics_of(network).items():
                stored = dataset.statistics.get(name)
                if stored is not None and stored.shape == value.shape:
                    value.copy_(stored)
