"""
Action distributions for many learners: outputs of the last layer in, actions and log-probabilities out.

Densities and entropies are SB3's; only sampling is ours, because it must come from PPMO's own generator and, drawn as noise
for a whole rollout at once, costs one addition per step.
"""

from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.distributions import Distribution, make_proba_distribution

from sb3_distill.spaces import n_outputs


class ActionDistribution:
    """
    :param action_space: ``Box``, ``Discrete``, ``MultiDiscrete`` or ``MultiBinary``
    """

    def __init__(self, action_space: spaces.Space[Any]) -> None:
        self.action_space = action_space
        self.n_outputs = n_outputs(action_space)
        self._distribution = make_proba_distribution(action_space)
        self._sizes = action_space.nvec.tolist() if isinstance(action_space, spaces.MultiDiscrete) else [self.n_outputs]

    def noise(self, shape: tuple[int, ...], generator: th.Generator) -> th.Tensor:
        """
        :param shape: batch dimensions
        :param generator: source of randomness (CPU)
        :return: ``(*shape, n_outputs)``: standard normal for a ``Box``, Gumbel (logistic for ``MultiBinary``) otherwise
        """
        shape = (*shape, self.n_outputs)
        if isinstance(self.action_space, spaces.Box):
            return th.randn(shape, generator=generator)
        gumbel = -th.empty(shape).exponential_(generator=generator).log()
        if isinstance(self.action_space, spaces.MultiBinary):
            gumbel += th.empty(shape).exponential_(generator=generator).log()
        return gumbel

    def act(self, outputs: th.Tensor, noise: th.Tensor | None, log_std: th.Tensor | None = None) -> th.Tensor:
        """
        :param outputs: ``(n, n_outputs)``
        :param noise: a slice ``(n, n_outputs)`` of ``noise()``, or ``None`` for the most likely action
        :param log_std: ``(n_outputs,)``, for a ``Box``
        :return: actions as SB3's distributions give them: ``(n,)`` for ``Discrete``, else ``(n, dimensions)``
        """
        if isinstance(self.action_space, spaces.Box):
            return outputs if noise is None else outputs + log_std.exp() * noise  # type: ignore[union-attr]
        scores = outputs if noise is None else outputs + noise
        if isinstance(self.action_space, spaces.Discrete):
            return scores.argmax(dim=-1)
        if isinstance(self.action_space, spaces.MultiBinary):
            return (scores > 0).float()
        return th.stack([part.argmax(dim=-1) for part in scores.split(self._sizes, dim=-1)], dim=-1)

    def log_prob(self, outputs: th.Tensor, actions: th.Tensor, log_std: th.Tensor | None = None) -> th.Tensor:
        """
        :param outputs: ``(n, n_outputs)``; flatten learners into ``n`` first: SB3 sums over dimension 1
        :param actions: as a rollout buffer holds them ``(n, dimensions)``
        :param log_std: ``(n_outputs,)``, for a ``Box``
        :return: log-probabilities ``(n,)``, summed over action dimensions
        """
        if isinstance(self.action_space, spaces.Discrete):
            # The same number as SB3's, in one call.
            return -th.nn.functional.cross_entropy(outputs, actions.long().flatten(), reduction="none")
        return self.distribution(outputs, log_std).log_prob(actions.float())

    def entropy(self, outputs: th.Tensor, log_std: th.Tensor | None = None) -> th.Tensor | None:
        """
        :param outputs: ``(n, n_outputs)``
        :param log_std: ``(n_outputs,)``, for a ``Box``
        :return: entropies ``(n,)`` in nats, or ``None`` where there is no closed form
        """
        if isinstance(self.action_space, spaces.Discrete):
            log_probs = outputs.log_softmax(dim=-1)
            return -(log_probs * log_probs.exp()).sum(dim=-1)
        return self.distribution(outputs, log_std).entropy()

    def distribution(self, outputs: th.Tensor, log_std: th.Tensor | None = None) -> Distribution:
        """SB3's distribution for ``outputs`` of shape ``(n, n_outputs)``."""
        if isinstance(self.action_space, spaces.Box):
            return self._distribution.proba_distribution(outputs, log_std)
        return self._distribution.proba_distribution(action_logits=outputs)
