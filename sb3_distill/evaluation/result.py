"""The returns of an evaluation, and their statistics."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sb3_distill.dataset.facts import HasFacts, inner_loop_in_words
from sb3_distill.typing import Array, Json

Returns = npt.NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class Evaluation(HasFacts):
    """
    :param returns: undiscounted return of each episode ``(n_learners, n_episodes)``
    :param deterministic: whether the most likely action was taken, or one sampled from the policy
    :param inner_loop: how the learners were taught, as ``DatasetInfo.inner_loop`` says it; ``None`` if the dataset did not
        teach them
    """

    returns: Returns
    deterministic: bool
    inner_loop: Mapping[str, object] | None = None

    def facts(self) -> dict[str, object]:
        """What is to be known of the evaluation, by name."""
        n_learners, n_episodes = self.returns.shape
        return {
            "score": f"{self.mean:.1f} ± {self.std:.1f}",
            "actions": "greedy" if self.deterministic else "sampled",
            "learners": n_learners,
            "episodes_each": n_episodes,
            "inner_loop": None if self.inner_loop is None else inner_loop_in_words(dict(self.inner_loop)),
        }

    @property
    def learner_means(self) -> Returns:
        """Mean return of each learner ``(n_learners,)``."""
        means: Returns = self.returns.mean(axis=1)
        return means

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(self.returns.mean())

    @property
    def std(self) -> float:
        """Standard deviation over learners of their mean returns, as in Table 1."""
        return float(self.learner_means.std())

    @property
    def iqm(self) -> float:
        """Interquartile mean over learners."""
        return float(_interquartile_mean(self.learner_means))

    def iqm_interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """
        :param confidence: probability that the interval aims at
        :return: bootstrap interval (percentiles, seeded) of the interquartile mean over learners
        """
        means = self.learner_means
        if len(means) < 2 or np.ptp(means) == 0:
            return self.iqm, self.iqm
        from scipy import stats  # takes seconds to import: only where it is used

        result = stats.bootstrap(
            (means,), _interquartile_mean, confidence_level=confidence, n_resamples=2000, method="percentile",
            rng=np.random.default_rng(0),
        )  # fmt: skip
        return float(result.confidence_interval.low), float(result.confidence_interval.high)

    def summary(self) -> Json:
        """All figures in JSON form."""
        low, high = self.iqm_interval()
        return {
            "mean": self.mean,
            "std": self.std,
            "iqm": self.iqm,
            "iqm_low": low,
            "iqm_high": high,
            "n_learners": self.returns.shape[0],
            "n_episodes": self.returns.shape[1],
            "deterministic": self.deterministic,
            "inner_loop": None if self.inner_loop is None else dict(self.inner_loop),
        }


def _interquartile_mean(values: Array, axis: int = 0) -> Array:
    from scipy import stats

    return np.asarray(stats.trim_mean(values, 0.25, axis=axis))
