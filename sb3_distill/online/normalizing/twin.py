"""Two policies of a model that normalises by itself: one takes what learners see, the other what environments show."""

import copy

import torch as th
from stable_baselines3.common.policies import ActorCriticPolicy

from sb3_distill.dataset.normalization import Normalization
from sb3_distill.teaching.folding import fold_into_first_layer


def twin_of(policy: ActorCriticPolicy) -> ActorCriticPolicy:
    """
    :param policy: ``model.policy``, for observations as environments show them
    :return: a copy for normalised observations, whose actor is taught and whose critic is trained. One policy for both would
        have to change its weights there and back, which is not exact, and stay changed where a run is interrupted
    """
    if policy.use_sde:
        with th.no_grad():  # noise with a gradient cannot be copied
            policy.reset_noise()
    return copy.deepcopy(policy)


def show_raw(twin: ActorCriticPolicy, policy: ActorCriticPolicy, normalization: Normalization | None) -> None:
    """
    :param twin: a policy for normalised observations
    :param policy: becomes the same for raw ones, without the clipping; changed in place
    :param normalization: their statistics; ``None`` if nothing was seen yet. Learned weights in it are left out: they are the
        actor's alone, whose first layer has them already
    """
    policy.load_state_dict(twin.state_dict())
    if normalization is not None:
        unweighted = Normalization(normalization.mean, normalization.var, normalization.clip, normalization.epsilon)
        fold_into_first_layer(policy, unweighted)
