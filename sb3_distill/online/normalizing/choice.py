"""What a model normalises by itself: the argument ``normalize``, and what follows from spaces and environments."""

from typing import NamedTuple

from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv

from sb3_distill.environments.foreign.look import look_into, vector_layers
from sb3_distill.environments.vec_normalize import normalizers_in
from sb3_distill.errors import ArgumentError
from sb3_distill.online.critic import evaluates_plainly
from sb3_distill.online.normalizing.normalizer import Normalizer
from sb3_distill.outer_loop.start import Start
from sb3_distill.spaces.checks import describe
from sb3_distill.teaching.folding import begins_with_linear_layers
from sb3_distill.typing import Normalize

OF_GYMNASIUM = ("NormalizeObservation", "NormalizeReward")
"""Wrappers of Gymnasium, for single environments and for vectors, that normalise."""


class Normalised(NamedTuple):
    """
    What a model normalises by itself.

    :param observations: whether observations
    :param rewards: whether rewards
    """

    observations: bool
    rewards: bool

    @classmethod
    def parse(cls, normalize: Normalize) -> "Normalised":
        """
        :param normalize: a resolved setting
        """
        return cls(normalize in (True, "observations"), normalize in (True, "rewards"))

    @property
    def setting(self) -> Normalize:
        """The value of ``normalize`` that says the same."""
        if self.observations == self.rewards:
            return self.observations
        return "observations" if self.observations else "rewards"

    def normalizer(self, policy: ActorCriticPolicy) -> Normalizer:
        """
        :param policy: the policy of the model
        :return: its statistics, that have seen nothing yet
        """
        return Normalizer(policy.observation_space if self.observations else None, self.rewards)


def resolve_normalize(
    normalize: Normalize | None, policy: ActorCriticPolicy, env: VecEnv | None, start: Start, has_rewards: bool
) -> Normalize:
    """
    :param normalize: the argument; ``None`` for observations that are numbers in a row, and rewards, but nothing where the
        environment normalises, or the run goes on from a dataset of PPMO that was made without
    :param policy: the policy of the model
    :param env: the environment; ``None`` without one
    :param start: what the run goes on from; a dataset that has learned from raw observations keeps them
    :param has_rewards: whether the model learns from rewards
    :return: the setting
    :raises ValueError: for an unknown value, or if what is asked for cannot be normalised, or would be twice
    """
    if not (normalize is None or isinstance(normalize, bool) or normalize in ("observations", "rewards")):
        raise ArgumentError(f'`normalize` must be True, False, "observations", "rewards" or None, got {normalize!r}')
    if normalize is False:
        return False
    obstacle = _why_not_observations(policy, start)
    if normalize is None:
        is_normalised = env is not None and _normalizes(env)
        return False if is_normalised or _learned_raw(start) else Normalised(obstacle is None, has_rewards).setting
    if normalize == "rewards" and not has_rewards:
        raise ArgumentError('there are no rewards to normalise here: leave out normalize="rewards"')
    if env is not None:
        check_not_twice(env, normalize)
    chosen = Normalised.parse(normalize)
    if chosen.observations and obstacle is not None:
        advice = 'give normalize="rewards", or None, which chooses' if has_rewards else "leave it out"
        raise ArgumentError(f"normalize={normalize!r} cannot normalise observations: {obstacle}; {advice}")
    return Normalised(chosen.observations, chosen.rewards and has_rewards).setting


def check_not_twice(env: VecEnv, normalize: Normalize) -> None:
    """
    :param env: an environment of a model that normalises by itself
    :param normalize: its setting
    :raises ValueError: if the environment is in a ``VecNormalize``
    """
    if normalizers_in(env):
        raise ArgumentError(
            f"normalize={normalize!r} normalises inside the model, and the environment is in a VecNormalize too: leave out one"
        )


def words(normalize: Normalize) -> str:
    """What a setting other than ``False`` normalises, for a message."""
    return "observations and rewards" if normalize is True else str(normalize)


def _why_not_observations(policy: ActorCriticPolicy, start: Start) -> str | None:
    """Why observations must be left as they are; ``None`` if they may be normalised."""
    space = policy.observation_space
    if not isinstance(space, spaces.Box) or len(space.shape) > 2:
        return f"they must be numbers in a row (a `Box` without channels), not {describe(space)}"
    if not (evaluates_plainly(policy) and begins_with_linear_layers(policy)):
        return f"actor and critic of the policy must begin with linear layers, which those of {type(policy).__name__} do not"
    source = start.source
    if source is not None and source.info.normalization is None and (start.continued is not None or source.info.timesteps):
        return "the dataset that the run starts from was made with raw ones"
    return None


def _learned_raw(start: Start) -> bool:
    """Whether a run goes on from what has learned by raw observations and rewards."""
    info = None if start.source is None else start.source.info
    if info is None or not info.timesteps or info.loss != "ppo":
        return False
    return info.normalization is None and info.return_variance is None


def _normalizes(env: VecEnv) -> bool:
    """Whether an environment, or a wrapper around it, normalises already."""
    layers = [layer for seen in look_into(env) for layer in seen.layers] + vector_layers(env)
    return bool(normalizers_in(env)) or any(layer.name in OF_GYMNASIUM and layer.is_trusted for layer in layers)
