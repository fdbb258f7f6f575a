"""The persistent critic: that of ``policy``, trained by its own loss, and sharing nothing with the dataset."""

from collections.abc import Set
from typing import Any

import torch as th
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import obs_as_tensor

from sb3_distill.networks.anatomy import critic_of
from sb3_distill.networks.stacked import StackedNetwork
from sb3_distill.ppmo.precision import Precision

CHUNK = 2_048  # observations per forward pass after a rollout: what stays in a core's cache


def evaluates_plainly(policy: ActorCriticPolicy) -> bool:
    """Whether a policy has SB3's critic; a subclass with its own idea of values is asked for them instead."""
    return type(policy).predict_values is ActorCriticPolicy.predict_values


class Critic:
    """
    :param policy: whose critic it is; its optimizer is made anew, for the critic's parameters only
    :param taught: identities of the parameters that the dataset teaches
    :param learning_rate: of the optimizer
    :param precision: of the forward passes
    """

    def __init__(self, policy: ActorCriticPolicy, taught: Set[int], learning_rate: float, precision: Precision) -> None:
        self.policy = policy
        self._precision = precision
        self.parameters = [
            parameter for name, parameter in policy.named_parameters() if id(parameter) not in taught and name != "log_std"
        ]
        optimizer_kwargs = dict(policy.optimizer_kwargs)
        if policy.optimizer_class is th.optim.Adam:
            optimizer_kwargs.setdefault("fused", True)
        optimizer_class: Any = policy.optimizer_class
        policy.optimizer = optimizer_class(self.parameters, lr=learning_rate, **optimizer_kwargs)
        self._network = StackedNetwork(critic_of(policy)) if evaluates_plainly(policy) else None

    def __call__(self, observations: Any, features: th.Tensor | None = None) -> th.Tensor:
        """
        :param observations: ``(n, *obs)`` (tensors, not yet preprocessed)
        :param features: what a shared features extractor made of them ``(n, h)``, so that they need not be looked at again
        :return: values ``(n,)``
        """
        if features is not None:
            return self.of_features(features)
        with self._precision():
            return self._forward(observations).float().flatten()

    def of_features(self, features: th.Tensor) -> th.Tensor:
        """Values ``(n,)`` of the outputs ``(n, h)`` of a features extractor that is shared with the actor."""
        assert self._network is not None, "only SB3's critic shares features"
        critic = self._network.template
        with self._precision():
            values: th.Tensor = critic.head(critic.latent(features))
            return values.float().flatten()

    def _forward(self, observations: Any) -> th.Tensor:
        if self._network is None:
            return self.policy.predict_values(observations)
        policy = self.policy
        inputs: Any = self._precision.preprocess(observations, policy.observation_space, policy.normalize_images)
        if not self._network.batched:
            return self._network.template(inputs)  # type: ignore[no-any-return]
        inputs = {key: value[None] for key, value in inputs.items()} if isinstance(inputs, dict) else inputs[None]
        params = {name: value[None] for name, value in self._network.template.named_parameters()}
        return self._network(params, inputs)

    def of_arrays(self, observations: Any, n: int, rollout: bool = False) -> th.Tensor:
        """
        :param observations: arrays ``(n, *obs)``, any number of them
        :param n: how many
        :param rollout: these are the observations of a rollout, whose values in SB3 are those of ``policy.forward``
        :return: values ``(n,)``
        """
        by_forward = rollout and type(self.policy).forward is not ActorCriticPolicy.forward
        chunks = []
        for start in range(0, n, CHUNK):
            part = slice(start, start + CHUNK)
            is_dict = isinstance(observations, dict)
            obs = {key: value[part] for key, value in observations.items()} if is_dict else observations[part]
            tensors = obs_as_tensor(obs, self.policy.device)
            chunks.append(self.policy(tensors)[1].flatten() if by_forward else self(tensors))
        return th.cat(chunks)
