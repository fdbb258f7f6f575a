"""Choosing by episodes what gradients do not learn well."""

from collections.abc import Sequence
from typing import Any

from sb3_distill.dataset.synthetic_dataset import DatasetLike, SyntheticDataset
from sb3_distill.errors import ArgumentError
from sb3_distill.evaluation.protocol import evaluate_learners
from sb3_distill.evaluation.result import Evaluation
from sb3_distill.inner_loop.carry import Carry

STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0)
"""Strengths to choose among: from nearly the ridge head to layers that are nearly regressions on the labels."""


def choose_carry_strength(
    dataset: DatasetLike,
    strengths: Sequence[float] = STRENGTHS,
    n_learners: int = 16,
    n_episodes: int = 2,
    deterministic: bool = True,
    seed: int = 1_000,
    **kwargs: Any,
) -> tuple[SyntheticDataset, dict[float, Evaluation]]:
    """
    Teach fresh learners by ``"carry"`` with several strengths, and keep the one with the highest mean return.

    The returns that it was chosen by are too high an estimate of what it will bring: evaluate the result with another seed.

    :param dataset: a dataset, a path, or the name of a shipped set, made for any inner loop
    :param strengths: values of ``alpha``, see ``inner_loop.Carry``
    :param n_learners: number of fresh learners for each
    :param n_episodes: number of episodes of each learner
    :param deterministic: whether the most likely action is taken
    :param seed: seed of learners and environments, the same for all strengths
    :param kwargs: further arguments of ``evaluate_learners``
    :return: the dataset with the inner loop ``"carry"`` and the best strength; and an evaluation for each strength
    :raises ValueError: if there is no strength, or one is not positive
    """
    if not strengths:
        raise ArgumentError("`strengths` must have at least one strength")
    ridge = SyntheticDataset.of(dataset).with_inner_loop("ridge")  # which keeps lambda, and no strength
    sets = {strength: ridge.with_inner_loop(Carry(strength)) for strength in strengths}
    evaluations = {
        strength: evaluate_learners(taught, n_learners, n_episodes, deterministic, seed=seed, **kwargs)
        for strength, taught in sets.items()
    }
    return sets[max(evaluations, key=lambda strength: evaluations[strength].mean)], evaluations
