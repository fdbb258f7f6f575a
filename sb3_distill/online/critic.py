"""The persistent critic: that of ``policy``, trained by its own loss, and sharing nothing with the dataset."""

from collections.abc import Set
from typing import Any

import torch as th
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import obs_as_tensor

from sb3_distill.networks.anatomy import critic_of
from sb3_distill.networks.precision import Precision
from sb3_distill.networks.stacked import StackedNetwork
from sb3_distill.trees import index, length, map_leaves
from sb3_distill.typing import Observations, RawObservations

CHUNK = 2_048  # observations per forward pass after a rollout: what stays in a core's cache


def evaluates_plainly(policy: ActorCriticPolicy) -> bool:
    """Whether a policy has SB3's critic; a subclass with its own idea of values is asked for them instead."""
    return type(policy).predict_values is ActorCriticPolicy.predict_values


class Critic:
    """
    :param policy: the policy whose critic it is; its optimizer is made anew, for the critic's parameters only
    :param actor_parameters: identities of the parameters that actions depend on, which are not the critic's
    :param learning_rate: initial step size of the optimizer
    :param precision: precision of the forward passes
    """

    def __init__(
        self, policy: ActorCriticPolicy, actor_parameters: Set[int], learning_rate: float, precision: Precision
    ) -> None:
        self.policy = policy
        self._precision = precision
        self.parameters = [
            parameter
            for name, parameter in policy.named_parameters()
            if id(parameter) not in actor_parameters and name != "log_std"
        ]
        optimizer_kwargs = dict(policy.optimizer_kwargs)
        if policy.optimizer_class is th.optim.Adam:
            optimizer_kwargs.setdefault("fused", True)
        optimizer_class: Any = policy.optimizer_class
        policy.optimizer = optimizer_class(self.parameters, lr=learning_rate, **optimizer_kwargs)
        self._network = StackedNetwork(critic_of(policy)) if evaluates_plainly(policy) else None

    def __call__(self, observations: Observations, features: th.Tensor | None = None) -> th.Tensor:
        """
        :param observations: ``(n, *obs)``, not yet preprocessed
        :param features: outputs ``(n, h)`` of a features extractor that is shared with the actor, for these observations
        :return: values ``(n,)``
        """
        if features is not None:
            return self.values_from_features(features)
        with self._precision():
            return self._forward(observations).float().flatten()

    def values_from_features(self, features: th.Tensor) -> th.Tensor:
        """
        :param features: outputs ``(n, h)`` of a features extractor that is shared with the actor
        :return: values ``(n,)``
        """
        assert self._network is not None, "only SB3's critic shares features"
        critic = self._network.template
        with self._precision():
            values: th.Tensor = critic.head(critic.latent(features))
            return values.float().flatten()

    def values_from_arrays(self, observations: RawObservations, rollout: bool = False) -> th.Tensor:
        """
        :param observations: arrays ``(n, *obs)``, any number of observations
        :param rollout: whether these are the observations of a rollout, whose values in SB3 are those of ``policy.forward``
        :return: values ``(n,)``
        """
        by_forward = rollout and type(self.policy).forward is not ActorCriticPolicy.forward
        chunks = []
        for start in range(0, length(observations), CHUNK):
            part = index(observations, slice(start, start + CHUNK))
            tensors: Any = obs_as_tensor(part, self.policy.device)
            chunks.append(self.policy(tensors)[1].flatten() if by_forward else self(tensors))
        return th.cat(chunks)

    def _forward(self, observations: Observations) -> th.Tensor:
        if self._network is None:
            return self.policy.predict_values(observations)  # type: ignore[arg-type]
        policy = self.policy
        inputs = self._precision.preprocess(observations, policy.observation_space, policy.normalize_images)
        if not self._network.batched:
            values: th.Tensor = self._network.template(inputs)
            return values
        params = {name: value[None] for name, value in self._network.template.named_parameters()}
        return self._network(params, map_leaves(lambda value: value[None], inputs))
