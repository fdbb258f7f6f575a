"""Signs that a run has not learned, and what is likely to help: what ``learn`` says at its end."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from gymnasium import spaces

from sb3_distill.outer_loop.defaults import FEW_INSTANCES, SMALLEST_ROLLOUT
from sb3_distill.outer_loop.settings import Settings
from sb3_distill.spaces.sizes import class_sizes, n_states
from sb3_distill.typing import Space

MIN_ROLLOUTS, MIN_TIMESTEPS = 20, 20 * SMALLEST_ROLLOUT
"""Shorter runs tell nothing."""
MIN_EPISODES = 5
"""Episodes of the first rollouts whose mean return counts as that of random actions."""
FIRST = 0.1
"""Share of the run in which they must have ended."""


class Moment(NamedTuple):
    """
    What one rollout and its updates show.

    :param progress: share of the run that is over
    :param mean: mean return of the last episodes; NaN where none has ended
    :param error: standard error of that mean
    :param n_episodes: how many these are
    :param explained: explained variance of the critic
    :param certainty: 1 - entropy / its maximum, for discrete actions; NaN for a ``Box``
    """

    progress: float
    mean: float
    error: float
    n_episodes: int
    explained: float
    certainty: float


@dataclass
class Signs:
    """
    Collects moments of a run and judges them at its end.

    :param is_new: whether learners knew nothing when the run began, so that its first episodes are those of random actions
    """

    is_new: bool
    moments: list[Moment] = field(default_factory=list)
    longest: float = 0.0
    """Steps of the longest episode so far."""

    def note(
        self, progress: float, episodes: Sequence[dict[str, float]], explained: float, entropy: float, action_space: Space
    ) -> None:
        """
        :param progress: share of the run that is over
        :param episodes: the last ones, with return ``r`` and length ``l``
        :param explained: explained variance of the critic
        :param entropy: mean entropy of the learners' actions, in nats
        :param action_space: action space of the environment
        """
        returns = np.array([episode["r"] for episode in episodes], dtype=float)
        self.longest = max([self.longest, *(episode["l"] for episode in episodes)])
        mean = float(returns.mean()) if len(returns) else math.nan
        error = float(returns.std() / math.sqrt(len(returns))) if len(returns) else math.nan
        certainty = math.nan
        if not isinstance(action_space, spaces.Box):
            certainty = 1 - entropy / sum(math.log(size) for size in class_sizes(action_space) if size > 1)
        self.moments.append(Moment(progress, mean, error, len(returns), explained, certainty))

    @property
    def before(self) -> Moment | None:
        """The first moment with enough episodes, which random actions played; ``None`` without one."""
        early = (moment for moment in self.moments if moment.n_episodes >= MIN_EPISODES and moment.progress <= FIRST)
        return next(early, None) if self.is_new else None

    def found(self, episodes: Sequence[dict[str, float]]) -> list[str]:
        """
        :param episodes: the last ones of the run, with return ``r`` and length ``l``
        :return: one clause for each sign that is there; empty for a run that went well, or was too short to tell
        """
        before = self.before
        if len(self.moments) < MIN_ROLLOUTS or before is None or not episodes:
            return []
        last, signs = self.moments[-1], []
        rise = last.mean - before.mean
        has_risen = rise > 2 * math.hypot(before.error, last.error) and rise > 0
        if not has_risen:
            signs.append(f"returns are not above those of random actions ({before.mean:.4g} then, {last.mean:.4g} at the end)")
            if math.isfinite(explained := self._early(lambda moment: moment.explained)) and explained < 0.05:
                signs.append(f"the critic had explained {max(explained, 0):.0%} of the returns after a fifth of the run")
            if self._early(lambda moment: moment.certainty, until=0.5) > 0.95:
                signs.append("learners were certain of their actions before half of the run")
        if (stuck := gets_nowhere(episodes, self.longest)) is not None:
            signs.append(f"most episodes go on to the time limit with the same return, {stuck:.4g}: nothing is reached")
        return signs

    def _early(self, value: Callable[[Moment], float], until: float = 0.25) -> float:
        """Median of a figure from 15 % of the run on."""
        figures = [value(moment) for moment in self.moments if 0.15 <= moment.progress <= until]
        return float(np.median(figures)) if figures else math.nan


def gets_nowhere(episodes: Sequence[dict[str, float]], longest: float) -> float | None:
    """
    :param episodes: the last ones of a run, with return ``r`` and length ``l``
    :param longest: steps of the longest episode of the run
    :return: the return of most of them, if it is the same negative number for most, and nine of ten are as long as any
        before (a goal that is reached by the shortest way makes equal returns too); ``None`` otherwise
    """
    returns, lengths = (np.array([episode[key] for episode in episodes], dtype=float) for key in ("r", "l"))
    middle = float(np.median(returns))
    is_same = np.mean(np.isclose(returns, middle, rtol=1e-6)) > 0.5 and np.mean(lengths >= longest) >= 0.9
    return middle if is_same and middle < 0 and len(episodes) >= MIN_EPISODES else None


def wanted_rollout(observation_space: Space) -> int:
    """
    :param observation_space: observation space of the environment
    :return: transitions that tell its states apart: the default, for tables 16 of each state, up to 16,384
    """
    return max(SMALLEST_ROLLOUT, min(16 * n_states(observation_space), 16_384))


def cures(
    settings: Settings, ent_coef: float, rollout: int, normalizes: bool, observation_space: Space, action_space: Space
) -> list[str]:
    """
    :param settings: resolved settings of the run
    :param ent_coef: weight of the entropy
    :param rollout: transitions of a rollout
    :param normalizes: whether rewards were normalised, inside the model or by the environment
    :param observation_space: observation space of the environment
    :param action_space: action space of the environment
    :return: what is likely to help, in the order in which it should be tried
    """
    advice, is_box = [], isinstance(action_space, spaces.Box)
    if not normalizes:
        advice.append("normalize=None")
    if not is_box and (settings.n_instances or 0) < FEW_INSTANCES:
        advice.append(f"n_instances={FEW_INSTANCES}")
    if not is_box and ent_coef <= 0:
        advice.append("ent_coef=0.01")
    n_wanted = wanted_rollout(observation_space)
    loop = 'inner_loop="ridge", policy_kwargs=dict(activation_fn=torch.nn.ReLU)' if is_box else 'inner_loop="carry"'
    if rollout < n_wanted:
        advice.append(f"rollouts of {n_wanted:,} transitions (n_steps * n_envs) with n_epochs=10")
    if settings.inner_loop == "sgd":
        advice.append(f"another inner loop ({loop})")
    return [*advice, "more timesteps"]
