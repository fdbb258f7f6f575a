"""Who normalises: which statistics stand between raw observations and a network. Every way to an environment asks here."""

from typing import Literal

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from sb3_distill.dataset.normalization import Normalization
from sb3_distill.environments.vec_normalize import continue_statistics, normalization_of, normalizer_of
from sb3_distill.errors import ArgumentError, warn
from sb3_distill.trees import named_leaves

TOLERANCE = 0.02
"""Largest difference of two statistics that are taken for the same, in standard deviations of the observations."""
DRIFT = 0.5
"""The same for a run that was saved between two updates, where the file does not say what its environment had seen."""
AFRESH = "give it a fresh VecNormalize, which goes on from the statistics of the dataset"
Moved = Literal["refuse", "warn"]
"""What happens where a ``VecNormalize`` has other statistics than a dataset: a run that goes on may only warn."""


def let_normalize(
    env: VecEnv,
    normalization: Normalization | None,
    is_settled: bool = True,
    moved: Moved = "refuse",
    tolerance: float = TOLERANCE,
) -> None:
    """
    Let an environment show what the network of a dataset was made to see.

    :param env: its ``VecNormalize``, if it has not seen anything yet, goes on from the statistics
    :param normalization: statistics of a dataset; ``None`` if it was made with observations as they are
    :param is_settled: whether the dataset has learned already, so that the lack of statistics says something
    :param moved: what happens where the statistics differ
    :param tolerance: largest difference, in standard deviations
    :raises ValueError: if something else stands between the environment and the network
    """
    normalizer = normalizer_of(env)
    if normalization is None:
        if is_settled and normalizer is not None and normalizer.norm_obs:
            raise ArgumentError(
                "the dataset was made without normalised observations: leave out the VecNormalize, or give it norm_obs=False"
            )
        return
    if normalizer is None:
        raise ArgumentError("the dataset was made with normalised observations: put the environment into a VecNormalize")
    continue_statistics(normalizer, normalization)
    if (trouble := difference(normalization, normalization_of(env), tolerance)) is None:
        return
    message = f"the VecNormalize of the environment is not the one of the dataset ({trouble}): {AFRESH}"
    if moved == "refuse":
        raise ArgumentError(message)
    warn(message)


def check_replacement(ours: Normalization | None, theirs: Normalization | None) -> None:
    """
    :param ours: statistics of the dataset of a model
    :param theirs: those of a dataset that takes its place there
    :raises ValueError: if one of the two sees normalised observations and the other does not, or other keys are normalised
    """
    if (ours is None) != (theirs is None):
        which = ("normalised", "raw") if ours is None else ("raw", "normalised")
        raise ArgumentError(
            f"the parameters are those of a dataset that sees {which[0]} observations, the dataset of this model sees "
            f"{which[1]} ones: load the model with `load(path, env)` instead"
        )
    if ours is None or theirs is None or (trouble := difference(theirs, ours)) is None:
        return
    message = f"the parameters are those of a dataset with another normalisation ({trouble})"
    if trouble.startswith("keys"):
        raise ArgumentError(f"{message}: load the model with `load(path, env)` instead")
    warn(f"{message}; the VecNormalize of this model goes on as it is")


def difference(wanted: Normalization, present: Normalization | None, tolerance: float = TOLERANCE) -> str | None:
    """
    :param wanted: statistics of a dataset
    :param present: those that stand before its network; ``None`` if none do
    :param tolerance: largest difference, in standard deviations
    :return: how they differ, in words; ``None`` if they do not
    """
    if present is None:
        return "it does not normalise what the network sees"
    means, variances = dict(named_leaves(wanted.mean)), dict(named_leaves(wanted.var))
    others, other_variances = dict(named_leaves(present.mean)), dict(named_leaves(present.var))
    if means.keys() != others.keys():
        return f"keys {sorted(map(str, others))} instead of {sorted(map(str, means))}"
    if any(means[key].shape != others[key].shape for key in means):
        return "statistics of another shape"
    off = 0.0
    for key in means:
        deviation = np.sqrt(variances[key] + wanted.epsilon)
        ratio = np.sqrt(other_variances[key] + present.epsilon) / deviation
        off = max(off, float(np.max(np.abs(means[key] - others[key]) / deviation, initial=0.0)))
        off = max(off, float(np.max(np.abs(np.log(ratio)), initial=0.0)))
    if not off <= tolerance:
        return f"their statistics differ by {off:.2g} standard deviations"
    if not np.isclose(wanted.clip, present.clip, rtol=TOLERANCE):
        return f"clip_obs is {present.clip:g} instead of {wanted.clip:g}"
    return None
