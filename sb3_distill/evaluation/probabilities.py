"""How good predicted probabilities are, and how near two predictions are to each other. Pure functions."""

import torch as th

from sb3_distill.typing import Json

N_BINS = 15
"""Bins of confidence for the calibration error (Guo et al. 2017, section 2)."""
SMALLEST = 1e-12
"""Probability below which the loss does not grow, so that one rounded zero does not make it infinite."""


def negative_log_likelihood(probs: th.Tensor, targets: th.Tensor) -> th.Tensor:
    """
    :param probs: ``(n, c)``
    :param targets: classes ``(n,)``
    :return: mean of minus the logarithm of the class's probability, in nats, a scalar
    """
    return -probs[th.arange(len(targets)), targets].clamp(min=SMALLEST).log().mean()


def brier(probs: th.Tensor, targets: th.Tensor) -> th.Tensor:
    """
    :param probs: ``(n, c)``
    :param targets: classes ``(n,)``
    :return: mean squared distance of the probabilities from the one-hot class, from 0 to 2, a scalar
    """
    return (probs - th.nn.functional.one_hot(targets, probs.shape[1])).square().sum(dim=1).mean()


def calibration_error(probs: th.Tensor, targets: th.Tensor, n_bins: int = N_BINS) -> th.Tensor:
    """
    Expected calibration error: mean distance of confidence from accuracy, over bins of equal width of the confidence.

    :param probs: ``(n, c)``
    :param targets: classes ``(n,)``
    :param n_bins: number of bins
    :return: a scalar in [0, 1]
    """
    confidence, predicted = probs.max(dim=1)
    excess = confidence - (predicted == targets).to(confidence)
    bins = (confidence * n_bins).long().clamp(max=n_bins - 1)
    return th.zeros(n_bins, dtype=excess.dtype).index_add(0, bins, excess).abs().sum() / len(targets)


def agreement(probs: th.Tensor, others: th.Tensor) -> th.Tensor:
    """
    :param probs: ``(n, c)``
    :param others: predictions of the same inputs ``(n, c)``
    :return: share of inputs of which both name the same class, a scalar (Izmailov et al. 2021, section 4.2)
    """
    return (probs.argmax(dim=1) == others.argmax(dim=1)).to(probs).mean()


def total_variation(probs: th.Tensor, others: th.Tensor) -> th.Tensor:
    """
    :param probs: ``(n, c)``
    :param others: predictions of the same inputs ``(n, c)``
    :return: half the sum of absolute differences, mean over inputs, a scalar in [0, 1] (Izmailov et al. 2021, section 4.2)
    """
    return (probs - others).abs().sum(dim=1).mean() / 2


def scores(probs: th.Tensor, targets: th.Tensor, reference: th.Tensor | None = None) -> Json:
    """
    :param probs: ``(n, c)``
    :param targets: classes ``(n,)``
    :param reference: predictions to compare with ``(n, c)``
    :return: all figures by name
    """
    probs = probs.double()
    figures = {
        "accuracy": (probs.argmax(dim=1) == targets).double().mean(),
        "nll": negative_log_likelihood(probs, targets),
        "ece": calibration_error(probs, targets),
        "brier": brier(probs, targets),
    }
    if reference is not None:
        figures |= {"agreement": agreement(probs, reference), "total_variation": total_variation(probs, reference.double())}
    return {name: float(value) for name, value in figures.items()}
