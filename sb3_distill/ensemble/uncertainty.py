"""How little the members of an ensemble agree: pure functions of their outputs."""

import torch as th
from gymnasium import spaces

from sb3_distill.ensemble.rules import choices_of, votes_of
from sb3_distill.networks.action_distribution import ActionDistribution
from sb3_distill.outer_loop.regularizers import divergence_from_mixture


def uncertainty(
    distribution: ActionDistribution, seen: tuple[th.Tensor, th.Tensor | None], log_std: th.Tensor | None
) -> dict[str, th.Tensor]:
    """
    :param distribution: how actions follow from the outputs of one member
    :param seen: outputs of all members ``(M, b, n_outputs)``, and the inputs of their last layers under gSDE
    :param log_std: logarithms of standard deviations ``(n_outputs,)``, for a ``Box``
    :return: figures ``(b,)`` by name, see ``DistilledEnsemble.uncertainty``
    """
    (outputs, latent), space = seen, distribution.action_space
    if isinstance(space, spaces.Box):
        assert log_std is not None
        variance = log_std.exp() ** 2
        if latent is not None:
            variance = ((latent**2) @ th.exp(2 * distribution.expand_log_std(log_std, latent.shape[-1]))).mean(dim=0)
        return {"variance_ratio": (outputs.var(dim=0, correction=0) / variance).mean(dim=-1)}
    choices = choices_of(outputs, space)
    n_choices = sum(logits[0, 0, ..., 0].numel() for logits in choices)
    differ = sum(_over_choices(disagreement(logits)) for logits in choices)
    mutual = sum(_over_choices(mutual_information(logits)) for logits in choices)
    return {"disagreement": th.as_tensor(differ) / n_choices, "mutual_information": th.as_tensor(mutual)}


def disagreement(logits: th.Tensor) -> th.Tensor:
    """
    :param logits: logits of one choice ``(M, b, ..., n)``
    :return: share of the pairs of members whose greedy actions differ ``(b, ...)``; 0 for one member
    """
    n_members = len(logits)
    votes = votes_of(logits).sum(dim=0)
    return 1 - (votes * (votes - 1)).sum(dim=-1) / max(n_members * (n_members - 1), 1) if n_members > 1 else 0 * votes[..., 0]


def mutual_information(logits: th.Tensor) -> th.Tensor:
    """
    Entropy of the mean of the probabilities minus the mean of their entropies.

    :param logits: logits of one choice ``(M, b, ..., n)``
    :return: information between action and member, in nats ``(b, ...)``
    """
    return divergence_from_mixture(logits).mean(dim=0).clamp_min(0.0)


def _over_choices(values: th.Tensor) -> th.Tensor:
    """The sum over the bits of a ``MultiBinary`` ``(b,)``."""
    return values.flatten(1).sum(dim=1) if values.dim() > 1 else values
