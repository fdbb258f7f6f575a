"""How much better a recorded action was than what was to be expected: a value network, advantages, weights."""

from typing import NamedTuple

import numpy as np
import torch as th
from gymnasium import spaces
from scipy.signal import lfilter
from stable_baselines3.common.preprocessing import is_image_space, preprocess_obs
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, CombinedExtractor, FlattenExtractor, NatureCNN
from torch import nn
from tqdm.auto import tqdm

from sb3_distill.arguments import number, share
from sb3_distill.errors import ArgumentError, NotFiniteError
from sb3_distill.offline.checks import Columns
from sb3_distill.offline.episodes import Floats
from sb3_distill.trees import length, map_leaves
from sb3_distill.typing import Observations, RawObservations, Space

AT_ONCE = 4_096
"""Observations that the network sees at once where no gradient is needed."""
LARGEST_LOGARITHM = 50.0
"""Bound of how far logarithms of weights are apart."""
N_BISECTIONS = 40
"""Halvings of the interval in which the bound of the weights is searched."""


class ValueFit(NamedTuple):
    """
    How the value network is fitted (Kostrikov, Nair & Levine 2021, https://arxiv.org/abs/2110.06169, with returns in place of
    a Q-network).

    :param gamma: discount
    :param gae_lambda: share of the recorded return in the targets of the network, against its predictions
    :param expectile: expectile of the returns that the network predicts, in (0, 1); 0.5 is their mean
    :param n_steps: number of minibatches
    :param n_rounds: how often targets are computed anew meanwhile
    :param batch_size: steps of a minibatch
    :param learning_rate: step size of Adam, which falls to zero
    """

    gamma: float = 0.99
    gae_lambda: float = 1.0
    expectile: float = 0.7
    n_steps: int = 3_000
    n_rounds: int = 10
    batch_size: int = 256
    learning_rate: float = 1e-3

    def check(self) -> None:
        """
        :raises ValueError: for a number that is none of these
        """
        for name in ("gamma", "gae_lambda"):
            share(name, getattr(self, name))
        if not 0 < number("expectile", self.expectile) < 1:
            raise ArgumentError(f"`expectile` must be between 0 and 1, got {self.expectile}")


class ValueNetwork(nn.Module):
    """
    Values of observations: 64-64 with tanh behind what SB3's policies make of the observations.

    :param space: space of the observations
    """

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space
        self.extractor = _extractor(space)
        self.layers = nn.Sequential(
            nn.Linear(self.extractor.features_dim, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1)
        )

    def forward(self, observations: Observations) -> th.Tensor:
        """
        :param observations: normalised observations ``(b, *obs)``
        :return: values in units of the fit ``(b,)``
        """
        seen = preprocess_obs(observations, self.space)  # type: ignore[arg-type]
        values: th.Tensor = self.layers(self.extractor(seen)).squeeze(-1)
        return values


def _extractor(space: Space) -> BaseFeaturesExtractor:
    if isinstance(space, spaces.Dict):
        return CombinedExtractor(space)
    return NatureCNN(space) if is_image_space(space) and isinstance(space, spaces.Box) else FlattenExtractor(space)


def advantages_of(
    columns: Columns,
    seen: RawObservations,
    last_seen: RawObservations,
    space: Space,
    fit: ValueFit,
    generator: th.Generator,
    device: th.device,
    progress_bar: bool = False,
) -> Floats:
    """
    Fit a value network by expectile regression on lambda-returns, and compare with it what each action has brought.

    :param columns: recorded steps
    :param seen: their observations as networks see them ``(N, *obs)``
    :param last_seen: the last observations likewise ``(E, *obs)``
    :param space: space of the observations
    :param fit: how the network is fitted
    :param generator: source of randomness (CPU)
    :param device: device of the network
    :param progress_bar: whether a bar is shown
    :return: generalised advantages ``(N,)``, in units of the rewards
    :raises FloatingPointError: if the network diverges
    """
    fit.check()
    with th.random.fork_rng(devices=[]):
        th.manual_seed(int(th.randint(2**62, (), generator=generator)))
        network = ValueNetwork(space).to(device)
    optimizer = th.optim.Adam(network.parameters(), lr=fit.learning_rate)
    inputs, last_inputs = _on(device, seen), _on(device, last_seen)
    scale = float(np.std(discounted_returns(columns, fit.gamma))) or 1.0
    n = length(seen)
    targets = th.zeros(0)
    for step in tqdm(range(fit.n_steps), unit="step", desc="values", disable=not progress_bar):
        if step % max(1, fit.n_steps // fit.n_rounds) == 0:
            values, last_values = _values(network, inputs) * scale, _values(network, last_inputs) * scale
            first = step == 0  # an untrained network predicts nothing
            lambda_ = 1.0 if first else fit.gae_lambda
            advantages = generalised_advantages(columns, values, last_values * (not first), fit.gamma, lambda_)
            targets = th.as_tensor((advantages + values) / scale, dtype=th.float32, device=device)
        for group in optimizer.param_groups:
            group["lr"] = fit.learning_rate * (1 - step / fit.n_steps)
        chosen = th.randint(n, (fit.batch_size,), generator=generator).to(device)
        errors = targets[chosen] - network(_rows(inputs, chosen))
        loss = (th.where(errors > 0, fit.expectile, 1 - fit.expectile) * errors.square()).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    values, last_values = _values(network, inputs) * scale, _values(network, last_inputs) * scale
    if not np.isfinite(values).all():
        raise NotFiniteError("the value network became NaN or infinite: scale the rewards, or use a smaller step size")
    return generalised_advantages(columns, values, last_values, fit.gamma, fit.gae_lambda)


def discounted_returns(columns: Columns, gamma: float) -> Floats:
    """See ``Recording.returns_to_go``."""
    return _backwards(columns.rewards.astype(np.float64), columns.ends, gamma)


def generalised_advantages(columns: Columns, values: Floats, last_values: Floats, gamma: float, lambda_: float) -> Floats:
    """
    Schulman et al. 2016, https://arxiv.org/abs/1506.02438.

    :param columns: recorded steps
    :param values: values of the observations ``(N,)``
    :param last_values: values of the last observations ``(E,)``, which count unless the episode has terminated
    :param gamma: discount
    :param lambda_: weight of later rewards against values
    :return: advantages ``(N,)``
    """
    last = columns.ends - 1
    following = np.append(values[1:], 0.0)
    following[last] = np.where(columns.terminated[last], 0.0, last_values)
    return _backwards(columns.rewards + gamma * following - values, columns.ends, gamma * lambda_)


def weights_of(advantages: Floats, temperature: float, largest: float) -> Floats:
    """
    Weights of behaviour cloning by advantage (Peng et al. 2019, https://arxiv.org/abs/1910.00177).

    :param advantages: advantages ``(N,)``
    :param temperature: divides the advantages, in units of their standard deviation
    :param largest: bound of a weight, above 1: so large a share of the steps (``1 / largest``) counts at least
    :return: weights ``(N,)``, whose mean is 1
    """
    scaled = (advantages - advantages.mean()) / max(float(advantages.std()), 1e-12) / temperature
    low, high = 0.0, float(scaled.max() - scaled.min())  # so far below the largest one the advantages are cut off
    for _ in range(N_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if _weights(scaled, middle).max() <= largest else (middle, high)
    return _weights(scaled, low if _weights(scaled, low).max() <= largest else high)


def _weights(scaled: Floats, cut: float) -> Floats:
    """Weights whose mean is 1, where the logarithm of none is above that of the largest less ``cut``."""
    logarithms = np.minimum(scaled - (scaled.max() - cut), 0.0)
    weights = np.exp(np.maximum(logarithms, -LARGEST_LOGARITHM))
    return np.asarray(weights / weights.mean())


def _backwards(values: Floats, ends: Floats, factor: float) -> Floats:
    """Discounted sums from each step to the end of its episode."""
    return np.concatenate([lfilter([1.0], [1.0, -factor], part[::-1])[::-1] for part in np.split(values, ends[:-1])])


@th.no_grad()
def _values(network: ValueNetwork, inputs: Observations) -> Floats:
    parts = [network(_rows(inputs, slice(start, start + AT_ONCE))) for start in range(0, length(inputs), AT_ONCE)]
    return th.cat(parts).double().cpu().numpy()


def _rows(inputs: Observations, rows: slice | th.Tensor) -> Observations:
    return map_leaves(lambda leaf: leaf[rows], inputs)


def _on(device: th.device, seen: RawObservations) -> Observations:
    """Observations as tensors, real numbers in single precision."""
    tensors = map_leaves(lambda leaf: th.tensor(leaf, device=device), seen)
    return map_leaves(lambda leaf: leaf.float() if leaf.is_floating_point() else leaf, tensors)
