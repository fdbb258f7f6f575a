"""
Action distributions for many learners: outputs of the last layer in, actions and log-probabilities out.

Densities and entropies are SB3's. Only sampling is ours: it must come from the algorithm's own generator, and noise that is
drawn for a whole rollout at once costs one addition per step.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.distributions import Distribution, StateDependentNoiseDistribution, make_proba_distribution

from sb3_distill.spaces.sizes import n_outputs
from sb3_distill.typing import Array, Space


def to_env(actions: Array, action_space: Space, squashed: bool) -> Array:
    """
    :param actions: actions as a policy gives them ``(n, dimensions)``
    :param action_space: action space of the environment
    :param squashed: whether a tanh has put the actions into [-1, 1]
    :return: actions as the environment takes them: those of a ``Box`` in its shape, scaled back if squashed, else clipped
    """
    if not isinstance(action_space, spaces.Box):
        return actions
    actions, low, high = actions.reshape(-1, *action_space.shape), action_space.low, action_space.high
    return np.asarray(low + 0.5 * (actions + 1.0) * (high - low) if squashed else np.clip(actions, low, high))


def make_action_distribution(action_space: Space, distribution: Distribution | None = None) -> "ActionDistribution":
    """
    :param action_space: ``Box``, ``Discrete``, ``MultiDiscrete`` or ``MultiBinary``
    :param distribution: SB3's distribution, for settings that an action space does not tell (gSDE, squashing); ``None`` for
        SB3's default
    :return: the distribution of the kind that fits
    :raises ValueError: for any other space
    """
    width = n_outputs(action_space)
    distribution = make_proba_distribution(action_space) if distribution is None else distribution
    if isinstance(distribution, StateDependentNoiseDistribution):
        return StateDependentGaussian(action_space, width, distribution)
    if isinstance(action_space, spaces.Discrete):
        return Categorical(action_space, width, distribution)
    if isinstance(action_space, spaces.MultiDiscrete):
        return MultiCategorical(action_space, width, distribution)
    if isinstance(action_space, spaces.MultiBinary):
        return Bernoulli(action_space, width, distribution)
    return Gaussian(action_space, width, distribution)


class ActionDistribution(ABC):
    """
    How actions follow from the outputs of learners; ``make_action_distribution`` chooses the subclass.

    :param action_space: action space of the environment
    :param n_outputs: width of the last layer
    :param distribution: SB3's distribution, which computes densities and entropies
    """

    state_dependent = False
    """Whether exploration depends on the input of the last layer (gSDE)."""
    squashes = False
    """Whether a tanh puts actions into [-1, 1]."""

    def __init__(self, action_space: Space, n_outputs: int, distribution: Distribution) -> None:
        self.action_space, self.n_outputs = action_space, n_outputs
        self._distribution = distribution

    @abstractmethod
    def noise(self, n: int, generator: th.Generator, latent_dim: int | None = None) -> th.Tensor:
        """
        Randomness of actions, independent of outputs.

        :param n: number of actions
        :param generator: source of randomness (CPU)
        :param latent_dim: width of the input of the last layer, for gSDE
        :return: ``(n, n_outputs)``; for gSDE exploration matrices ``(n, latent_dim, n_outputs)``
        """

    def rollout_noise(
        self, n_steps: int, n: int, generator: th.Generator, latent_dim: int | None = None, every: int = -1
    ) -> Sequence[th.Tensor]:
        """
        ``noise`` for each step of a rollout.

        :param n_steps: number of steps
        :param n: number of actions per step
        :param generator: source of randomness (CPU)
        :param latent_dim: width of the input of the last layer, for gSDE
        :param every: number of steps that share exploration matrices, for gSDE; -1 for the whole rollout
        """
        return list(self.noise(n_steps * n, generator).unflatten(0, (n_steps, n)))

    @abstractmethod
    def act(
        self, outputs: th.Tensor, noise: th.Tensor | None, log_std: th.Tensor | None = None, latent: th.Tensor | None = None
    ) -> th.Tensor:
        """
        :param outputs: outputs of the last layer ``(n, n_outputs)``
        :param noise: result of ``noise``, or ``None`` for the most likely actions
        :param log_std: logarithms of standard deviations ``(n_outputs,)``, for a ``Box``
        :param latent: input of the last layer ``(n, latent_dim)``, for gSDE
        :return: actions as SB3's distributions give them: ``(n,)`` for ``Discrete``, else ``(n, dimensions)``
        """

    def masked(self, outputs: th.Tensor, masks: th.Tensor) -> th.Tensor:
        """
        :param outputs: outputs of the last layer ``(n, n_outputs)``
        :param masks: which choices are allowed, one after the other ``(n, n_choices)``, for actions that are choices
        :return: outputs with which ``act`` chooses among those that are allowed
        """
        return outputs.masked_fill(~masks, -th.inf)

    def log_prob(
        self, outputs: th.Tensor, actions: th.Tensor, log_std: th.Tensor | None = None, latent: th.Tensor | None = None
    ) -> th.Tensor:
        """
        :param outputs: outputs of the last layer ``(n, n_outputs)``; those of several learners one after the other
        :param actions: actions as a rollout buffer holds them ``(n, dimensions)``
        :param log_std: logarithms of standard deviations ``(n_outputs,)``, for a ``Box``
        :param latent: input of the last layer ``(n, latent_dim)``, for gSDE
        :return: log-probabilities ``(n,)``, summed over action dimensions
        """
        return self._sb3(outputs, log_std, latent).log_prob(actions.float())

    def entropy(
        self, outputs: th.Tensor, log_std: th.Tensor | None = None, latent: th.Tensor | None = None
    ) -> th.Tensor | None:
        """Entropies ``(n,)`` in nats, or ``None`` where there is no closed form; parameters as for ``log_prob``."""
        return self._sb3(outputs, log_std, latent).entropy()

    def pull_to_bounds(self, outputs: th.Tensor, actions: th.Tensor) -> th.Tensor:
        """
        If the target action is at a bound, a mean beyond it costs nothing, since environments clip.

        :param outputs: outputs of the last layer ``(n, n_outputs)``
        :param actions: target actions, as an environment takes them ``(n, dimensions)``
        :return: outputs; those beyond the bound at which their target lies are moved to this bound
        """
        return outputs

    def expand_log_std(self, log_std: th.Tensor, latent_dim: int) -> th.Tensor:
        """
        :param log_std: logarithms of standard deviations, as a dataset holds them ``(n_outputs,)``
        :param latent_dim: width of the input of the last layer
        :return: the same in the shape of a policy's parameter
        """
        return log_std

    def _sb3(self, outputs: th.Tensor, log_std: th.Tensor | None, latent: th.Tensor | None) -> Distribution:
        """SB3's distribution with these parameters."""
        return self._distribution.proba_distribution(action_logits=outputs)


class Categorical(ActionDistribution):
    """One of n actions (``Discrete``), sampled by adding Gumbel noise to logits."""

    def noise(self, n: int, generator: th.Generator, latent_dim: int | None = None) -> th.Tensor:
        return _gumbel(n, self.n_outputs, generator)

    def act(
        self, outputs: th.Tensor, noise: th.Tensor | None, log_std: th.Tensor | None = None, latent: th.Tensor | None = None
    ) -> th.Tensor:
        return _add(outputs, noise).argmax(dim=-1)

    def log_prob(
        self, outputs: th.Tensor, actions: th.Tensor, log_std: th.Tensor | None = None, latent: th.Tensor | None = None
    ) -> th.Tensor:
        # SB3's would build a torch distribution first; this is the same number in one call.
        return -th.nn.functional.cross_entropy(outputs, actions.long().flatten(), reduction="none")

    def entropy(
        self, outputs: th.Tensor, log_std: th.Tensor | None = None, latent: th.Tensor | None = None
    ) -> th.Tensor | None:
        log_probs = outputs.log_softmax(dim=-1)
        return -(log_probs * log_probs.exp()).sum(dim=-1)


class MultiCategorical(ActionDistribution):
    """Several choices at once (``MultiDiscrete``), each as in ``Categorical``."""

    def noise(self, n: int, generator: th.Generator, latent_dim: int | None = None) -> th.Tensor:
        return _gumbel(n, self.n_outputs, generator)

    def act(
        self, outputs: th.Tensor, noise: th.Tensor | None, log_std: th.Tensor | None = None, latent: th.Tensor | None = None
    ) -> th.Tensor:
        assert isinstance(self.action_space, spaces.MultiDiscrete)
        choices = _add(outputs, noise).split(self.action_space.nvec.tolist(), dim=-1)
        return th.stack([scores.argmax(dim=-1) for scores in choices], dim=-1)


class Bernoulli(ActionDistribution):
    """Bits (``MultiBinary``), sampled by adding logistic noise, the difference of two Gumbel numbers, to logits."""

    def noise(self, n: int, generator: th.Generator, latent_dim: int | None = None) -> th.Tensor:
        ones = _gumbel(n, self.n_outputs, generator)
        return ones - _gumbel(n, self.n_outputs, generator)

    def act(
        self, outputs: th.Tensor, noise: th.Tensor | None, log_std: th.Tensor | None = None, latent: th.Tensor | None = None
    ) -> th.Tensor:
        return (_add(outputs, noise) > 0).float()

    def masked(self, outputs: th.Tensor, masks: th.Tensor) -> th.Tensor:
        zero_allowed, one_allowed = masks.unflatten(1, (-1, 2)).unbind(-1)
        return outputs.masked_fill(~zero_allowed, th.inf).masked_fill(~one_allowed, -th.inf)


class Gaussian(ActionDistribution):
    """Real numbers (``Box``) around the outputs, with the same deviations in all states."""

    def noise(self, n: int, generator: th.Generator, latent_dim: int | None = None) -> th.Tensor:
        return th.randn((n, self.n_outputs), generator=generator)

    def act(
        self, outputs: th.Tensor, noise: th.Tensor | None, log_std: th.Tensor | None = None, latent: th.Tensor | None = None
    ) -> th.Tensor:
        if noise is None:
            return outputs
        assert log_std is not None
        return outputs + log_std.exp() * noise

    def pull_to_bounds(self, outputs: th.Tensor, actions: th.Tensor) -> th.Tensor:
        assert isinstance(self.action_space, spaces.Box)
        if self.squashes:
            return outputs
        low = th.as_tensor(self.action_space.low, device=outputs.device).flatten()
        high = th.as_tensor(self.action_space.high, device=outputs.device).flatten()
        outputs = th.where(actions <= low, outputs.maximum(low), outputs)
        return th.where(actions >= high, outputs.minimum(high), outputs)

    def _sb3(self, outputs: th.Tensor, log_std: th.Tensor | None, latent: th.Tensor | None) -> Distribution:
        return self._distribution.proba_distribution(outputs, log_std)


class StateDependentGaussian(Gaussian):
    """
    Real numbers under gSDE: what is added to the outputs is a random linear function of the input of the last layer.

    :param distribution: SB3's distribution, which tells how large deviations are and whether a tanh follows
    """

    state_dependent = True

    def __init__(self, action_space: Space, n_outputs: int, distribution: StateDependentNoiseDistribution) -> None:
        super().__init__(action_space, n_outputs, distribution)
        self._gsde, self.squashes = distribution, distribution.bijector is not None

    def noise(self, n: int, generator: th.Generator, latent_dim: int | None = None) -> th.Tensor:
        assert latent_dim is not None
        return th.randn((n, latent_dim, self.n_outputs), generator=generator)

    def rollout_noise(
        self, n_steps: int, n: int, generator: th.Generator, latent_dim: int | None = None, every: int = -1
    ) -> Sequence[th.Tensor]:
        every = every if every > 0 else n_steps
        draws = [self.noise(n, generator, latent_dim) for _ in range(-(-n_steps // every))]
        return [draws[step // every] for step in range(n_steps)]

    def act(
        self, outputs: th.Tensor, noise: th.Tensor | None, log_std: th.Tensor | None = None, latent: th.Tensor | None = None
    ) -> th.Tensor:
        if noise is not None:
            assert log_std is not None and latent is not None
            matrices = noise * self._gsde.get_std(self.expand_log_std(log_std, latent.shape[1]))
            outputs = outputs + th.bmm(latent.unsqueeze(1), matrices).squeeze(1)
        return outputs if self._gsde.bijector is None else self._gsde.bijector.forward(outputs)

    def expand_log_std(self, log_std: th.Tensor, latent_dim: int) -> th.Tensor:
        """
        Every feature has the deviations of the dataset.

        :param log_std: logarithms of standard deviations, as a dataset holds them ``(n_outputs,)``
        :param latent_dim: width of the input of the last layer
        :return: ``(latent_dim, n_outputs)``, or ``(latent_dim, 1)`` without ``full_std``
        """
        if not self._gsde.full_std:
            log_std = log_std.mean(dim=0, keepdim=True)
        return log_std.expand(latent_dim, -1)

    def _sb3(self, outputs: th.Tensor, log_std: th.Tensor | None, latent: th.Tensor | None) -> Distribution:
        assert log_std is not None and latent is not None
        return self._gsde.proba_distribution(outputs, self.expand_log_std(log_std, latent.shape[1]), latent)


def _gumbel(n: int, width: int, generator: th.Generator) -> th.Tensor:
    return -th.empty((n, width)).exponential_(generator=generator).log()


def _add(logits: th.Tensor, noise: th.Tensor | None) -> th.Tensor:
    return logits if noise is None else logits + noise
