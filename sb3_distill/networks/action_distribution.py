"""
Action distributions for many learners: outputs of the last layer in, actions and log-probabilities out.

Densities and entropies are SB3's; only sampling is ours, because it must come from PPMO's own generator and, drawn as noise
for a whole rollout at once, costs one addition per step.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch as th
from gymnasium import spaces
from stable_baselines3.common.distributions import Distribution, StateDependentNoiseDistribution, make_proba_distribution

from sb3_distill.spaces.sizes import n_outputs


def to_env(actions: npt.NDArray[Any], action_space: spaces.Space[Any], squashed: bool) -> npt.NDArray[Any]:
    """
    :param actions: as a policy gives them ``(n, dimensions)``
    :param action_space: of the environment
    :param squashed: whether they lie in [-1, 1] by a tanh
    :return: as the environment takes them: those of a ``Box`` in its shape, scaled back if squashed, else clipped
    """
    if not isinstance(action_space, spaces.Box):
        return actions
    actions, low, high = actions.reshape(-1, *action_space.shape), action_space.low, action_space.high
    clipped: npt.NDArray[Any] = low + 0.5 * (actions + 1.0) * (high - low) if squashed else np.clip(actions, low, high)
    return clipped


class ActionDistribution:
    """
    :param action_space: ``Box``, ``Discrete``, ``MultiDiscrete`` or ``MultiBinary``
    :param distribution: SB3's, for settings that an action space does not tell (gSDE, squashing); ``None`` for its default
    """

    def __init__(self, action_space: spaces.Space[Any], distribution: Distribution | None = None) -> None:
        self.action_space = action_space
        self.n_outputs = n_outputs(action_space)
        self._distribution: Any = distribution or make_proba_distribution(action_space)
        self.state_dependent = isinstance(self._distribution, StateDependentNoiseDistribution)
        self.squashes = getattr(self._distribution, "bijector", None) is not None
        self._sizes = action_space.nvec.tolist() if isinstance(action_space, spaces.MultiDiscrete) else [self.n_outputs]

    def noise(self, n: int, generator: th.Generator, latent_dim: int | None = None) -> th.Tensor:
        """
        :param n: number of actions
        :param generator: source of randomness (CPU)
        :param latent_dim: width of the input of the last layer, for gSDE
        :return: ``(n, n_outputs)``: standard normal for a ``Box``, Gumbel (logistic for ``MultiBinary``) otherwise; for gSDE
            standard normal exploration matrices ``(n, latent_dim, n_outputs)``
        """
        if self.state_dependent:
            assert latent_dim is not None
            return th.randn((n, latent_dim, self.n_outputs), generator=generator)
        if isinstance(self.action_space, spaces.Box):
            return th.randn((n, self.n_outputs), generator=generator)
        gumbel = -th.empty((n, self.n_outputs)).exponential_(generator=generator).log()
        if isinstance(self.action_space, spaces.MultiBinary):
            gumbel += th.empty((n, self.n_outputs)).exponential_(generator=generator).log()
        return gumbel

    def rollout_noise(
        self, n_steps: int, n: int, generator: th.Generator, latent_dim: int | None = None, every: int = -1
    ) -> Sequence[th.Tensor]:
        """
        ``noise`` for each step of a rollout.

        :param n_steps: number of steps
        :param n: number of actions per step
        :param generator: source of randomness (CPU)
        :param latent_dim: width of the input of the last layer, for gSDE
        :param every: under gSDE, draw new matrices every so many steps; -1 for one draw
        """
        if not self.state_dependent:
            return list(self.noise(n_steps * n, generator).unflatten(0, (n_steps, n)))
        every = every if every > 0 else n_steps
        draws = [self.noise(n, generator, latent_dim) for _ in range(-(-n_steps // every))]
        return [draws[step // every] for step in range(n_steps)]

    def act(
        self, outputs: th.Tensor, noise: th.Tensor | None, log_std: th.Tensor | None = None, latent: th.Tensor | None = None
    ) -> th.Tensor:
        """
        :param outputs: ``(n, n_outputs)``
        :param noise: what ``noise`` returned, or ``None`` for the most likely action
        :param log_std: ``(n_outputs,)``, for a ``Box``
        :param latent: input of the last layer ``(n, latent_dim)``, for gSDE
        :return: actions as SB3's distributions give them: ``(n,)`` for ``Discrete``, else ``(n, dimensions)``
        """
        if isinstance(self.action_space, spaces.Box):
            if noise is None:
                return self._squash(outputs)
            assert log_std is not None
            if not self.state_dependent:
                return outputs + log_std.exp() * noise
            assert latent is not None
            deviation = self._distribution.get_std(self.expand_log_std(log_std, latent.shape[1]))
            return self._squash(outputs + th.bmm(latent.unsqueeze(1), noise * deviation).squeeze(1))
        scores = outputs if noise is None else outputs + noise
        if isinstance(self.action_space, spaces.Discrete):
            return scores.argmax(dim=-1)
        if isinstance(self.action_space, spaces.MultiBinary):
            return (scores > 0).float()
        return th.stack([part.argmax(dim=-1) for part in scores.split(self._sizes, dim=-1)], dim=-1)

    def log_prob(
        self, outputs: th.Tensor, actions: th.Tensor, log_std: th.Tensor | None = None, latent: th.Tensor | None = None
    ) -> th.Tensor:
        """
        :param outputs: ``(n, n_outputs)``; flatten learners into ``n`` first: SB3 sums over dimension 1
        :param actions: as a rollout buffer holds them ``(n, dimensions)``
        :param log_std: ``(n_outputs,)``, for a ``Box``
        :param latent: input of the last layer ``(n, latent_dim)``, for gSDE
        :return: log-probabilities ``(n,)``, summed over action dimensions
        """
        if isinstance(self.action_space, spaces.Discrete):
            # The same number as SB3's, in one call.
            return -th.nn.functional.cross_entropy(outputs, actions.long().flatten(), reduction="none")
        return self.distribution(outputs, log_std, latent).log_prob(actions.float())

    def forgive(self, outputs: th.Tensor, actions: th.Tensor) -> th.Tensor:
        """
        Environments clip actions: where a wanted one lies at a bound, a mean beyond that bound is no worse than the bound.

        :param outputs: ``(n, n_outputs)``
        :param actions: wanted ones, as an environment takes them ``(n, dimensions)``
        :return: the outputs, those that are beyond the bound of a wanted action put back to it
        """
        if not isinstance(self.action_space, spaces.Box) or self.squashes:
            return outputs
        low, high = (
            th.as_tensor(bound, device=outputs.device).flatten() for bound in (self.action_space.low, self.action_space.high)
        )
        outputs = th.where(actions <= low, outputs.maximum(low), outputs)
        return th.where(actions >= high, outputs.minimum(high), outputs)

    def entropy(
        self, outputs: th.Tensor, log_std: th.Tensor | None = None, latent: th.Tensor | None = None
    ) -> th.Tensor | None:
        """
        Entropies ``(n,)`` in nats, or ``None`` where there is no closed form; parameters as for ``log_prob``.
        """
        if isinstance(self.action_space, spaces.Discrete):
            log_probs = outputs.log_softmax(dim=-1)
            return -(log_probs * log_probs.exp()).sum(dim=-1)
        return self.distribution(outputs, log_std, latent).entropy()

    def distribution(
        self, outputs: th.Tensor, log_std: th.Tensor | None = None, latent: th.Tensor | None = None
    ) -> Distribution:
        """SB3's distribution; parameters as for ``log_prob``."""
        result: Distribution
        if self.state_dependent:
            assert latent is not None and log_std is not None
            log_std = self.expand_log_std(log_std, latent.shape[1])
            result = self._distribution.proba_distribution(outputs, log_std, latent)
        elif isinstance(self.action_space, spaces.Box):
            result = self._distribution.proba_distribution(outputs, log_std)
        else:
            result = self._distribution.proba_distribution(action_logits=outputs)
        return result

    def expand_log_std(self, log_std: th.Tensor, latent_dim: int) -> th.Tensor:
        """
        Under gSDE every feature has the deviations of the dataset.

        :param log_std: ``(n_outputs,)``
        :param latent_dim: width of the input of the last layer
        :return: in the shape of the policy's own: ``(latent_dim, n_outputs)``, or ``(latent_dim, 1)`` without ``full_std``
        """
        if not self.state_dependent:
            return log_std
        if not self._distribution.full_std:
            log_std = log_std.mean(dim=0, keepdim=True)
        return log_std.expand(latent_dim, -1)

    def _squash(self, actions: th.Tensor) -> th.Tensor:
        return self._distribution.bijector.forward(actions) if self.squashes else actions
