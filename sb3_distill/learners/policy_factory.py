"""Learners made of SB3's policies."""

from collections.abc import Mapping
from typing import cast

import torch as th
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.torch_layers import MlpExtractor

from sb3_distill.errors import ArgumentError
from sb3_distill.learners.component import ComponentKind, LearnerComponent
from sb3_distill.learners.initialization import PYTORCH
from sb3_distill.networks.action_distribution import ActionDistribution, make_action_distribution
from sb3_distill.networks.anatomy import Network, actor_of, squashes
from sb3_distill.networks.policy_kwargs import kwargs_of_the_set
from sb3_distill.spaces.checks import describe
from sb3_distill.spaces.sizes import n_outputs
from sb3_distill.typing import Kwargs, Space


class PolicyFactory:
    """
    Builds the actors of SB3's policies, see ``NetworkFactory``.

    :param policy_class: policy of the components that name none
    :param policy_kwargs: keyword arguments of the components that name none
    :param observation_space: observation space of the environment
    :param action_space: action space of the environment
    :param device: device of the parameters
    """

    def __init__(
        self,
        policy_class: type[BasePolicy],
        policy_kwargs: Mapping[str, object],
        observation_space: Space,
        action_space: Space,
        device: th.device | str = "cpu",
    ) -> None:
        self._policy_class, self._policy_kwargs = policy_class, dict(policy_kwargs)
        self._observation_space, self._action_space = observation_space, action_space
        self._device = device
        self._examples: list[tuple[ComponentKind, BasePolicy]] = []

    @property
    def n_outputs(self) -> int:
        return n_outputs(self._action_space)

    @property
    def target(self) -> str:
        return describe(self._action_space)

    def name(self, component: LearnerComponent) -> str:
        return self._class_of(component).__name__

    def build(self, component: LearnerComponent, without_layers: bool) -> Network:
        policy = self._build_policy(component, without_layers)
        if not without_layers and self._example(component) is None:
            self._examples.append((component.kind, policy))
        return actor_of(policy)

    def law(self, component: LearnerComponent, network: Network) -> str | None:
        policy = self._policy(component)
        if not isinstance(policy, ActorCriticPolicy) or type(policy)._build is not ActorCriticPolicy._build:
            return None
        if policy.ortho_init:
            return "orthogonal"  # it overwrites every layer
        # Without it a custom module may have drawn its parameters otherwise.
        return None if network.chain() is None else PYTORCH

    def action_distribution(self, component: LearnerComponent) -> ActionDistribution:
        """
        :param component: part of a learner distribution
        :return: distribution of its learners' actions
        """
        return make_action_distribution(self._action_space, getattr(self._policy(component), "action_dist", None))

    def squashes(self, component: LearnerComponent) -> bool:
        """
        :param component: part of a learner distribution
        :return: whether its policy puts outputs through a tanh, and scales them to the action space
        """
        return squashes(self._policy(component))

    def _example(self, component: LearnerComponent) -> BasePolicy | None:
        return next((policy for kind, policy in self._examples if kind == component.kind), None)

    def _policy(self, component: LearnerComponent) -> BasePolicy:
        """The first policy of the component that was built, for what its network does not tell."""
        if (policy := self._example(component)) is None:
            with th.random.fork_rng(devices=[]):
                self.build(component, without_layers=False)
            policy = self._example(component)
        assert policy is not None
        return policy

    def _class_of(self, component: LearnerComponent) -> type[BasePolicy]:
        return component.policy or self._policy_class

    def _build_policy(self, component: LearnerComponent, without_layers: bool) -> BasePolicy:
        policy_class = self._class_of(component)
        kwargs: Kwargs = dict(self._policy_kwargs if component.policy_kwargs is None else component.policy_kwargs)
        kwargs = {**kwargs_of_the_set(self._policy_kwargs, policy_class), **kwargs}
        if without_layers:
            if not issubclass(policy_class, ActorCriticPolicy):
                raise ArgumentError(
                    f"`learner_distribution` draws layers for actor-critic policies; give {policy_class.__name__} its "
                    "`policy_kwargs` instead"
                )
            kwargs["net_arch"] = []
        try:
            policy = policy_class(self._observation_space, self._action_space, lambda _: 0.0, **kwargs).to(self._device)
        except Exception as error:  # policies raise anything for spaces and arguments that do not fit
            raise ArgumentError(f"{policy_class.__name__} in `learner_distribution` does not fit: {error}") from error
        if without_layers and type(extractor := cast(ActorCriticPolicy, policy).mlp_extractor) is not MlpExtractor:
            raise ArgumentError(
                f"`learner_distribution` draws the layers of an MlpExtractor; {policy_class.__name__} has its own "
                f"{type(extractor).__name__}: give only `init`, or its `policy_kwargs`"
            )
        policy.set_training_mode(False)  # no dropout, fixed batch norm: as the taught policy will act
        return policy
