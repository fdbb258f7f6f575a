"""An agent of Stable-Baselines3, to be imitated."""

import copy
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from sb3_distill.dagger.agent_file import load_agent, missing_package
from sb3_distill.dagger.statistics_files import statistics_beside
from sb3_distill.environments.foreign.masks import has_masks, masks_of
from sb3_distill.environments.vec_normalize import statistics_of_keys
from sb3_distill.errors import ArgumentError, warn
from sb3_distill.networks.anatomy import needs_of, takes_argument
from sb3_distill.spaces.checks import SpacesOnly, difference, same_actions, same_kind
from sb3_distill.trees import map_leaves
from sb3_distill.typing import Array, RawObservations, Shape, Space

__all__ = ["Expert", "statistics_beside"]


class Masking(Protocol):
    """A policy whose actions depend on what is allowed, such as that of ``MaskablePPO``."""

    def predict(self, observation: RawObservations, *, deterministic: bool, action_masks: Array) -> tuple[Array, object]: ...


class Expert:
    """
    The actions of an agent, greedy ones unless sampled ones are asked for.

    :param policy: of the agent
    :param normalization: the ``VecNormalize`` that its observations pass through, if any
    :raises ValueError: if an action does not follow from one observation, or the statistics are of other observations
    """

    is_from_file = False
    """Whether the agent comes from a zip, which does not tell how it was trained."""

    def __init__(self, policy: BasePolicy, normalization: VecNormalize | None = None) -> None:
        if not callable(getattr(policy, "predict", None)):
            raise ArgumentError(f"an Expert is made of a policy, got {policy!r}: a file is read by Expert.load(path)")
        self.policy = policy
        self.normalization = normalization
        self.takes_masks = bool(getattr(policy, "takes_masks", takes_argument(policy.predict, "action_masks")))
        """Whether its actions depend on which are allowed."""
        self._check_normalization()
        self._check_memory()

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        normalization: str | os.PathLike[str] | None = None,
        algo: str | None = None,
        custom_objects: Mapping[str, object] | None = None,
    ) -> "Expert":
        """
        :param path: a zip that an SB3 (or sb3-contrib) algorithm saved
        :param normalization: the ``vecnormalize.pkl`` that was saved with it. It is a pickle: load only what you trust.
            ``"none"`` says that the agent has seen observations as they are; ``None`` warns where statistics lie with it
        :param algo: name of the algorithm; ``None`` to see it from the policy
        :param custom_objects: what takes the place of parts of the file, as in SB3's ``load``
        :return: the agent's policy, on the CPU
        :raises FileNotFoundError: if there is no such file
        :raises ValueError: if the file is not an agent, of an algorithm that is not known, or needs what is not installed; if
            the agent needs more than an observation; or if a file of rl-zoo says that its observations were normalised, and
            there are no statistics
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"there is no agent {path}")
        if not zipfile.is_zipfile(path):
            raise ArgumentError(f"{path} is not a zip that an SB3 algorithm saved")
        model = load_agent(path, algo, custom_objects)
        model.policy.set_training_mode(False)
        venv = None
        if normalization is None:
            if (beside := statistics_beside(path)) is not None:
                warn(
                    f"{beside} lies with {path} and is not used: if the agent was trained on normalised observations, pass "
                    'it as `normalization`; normalization="none" says that it was not'
                )
        elif str(normalization) != "none":
            venv = _load_statistics(Path(normalization), path, SpacesOnly(model.observation_space, model.action_space))
        expert = cls(model.policy, venv)
        expert.is_from_file = True
        return expert

    def check_spaces(self, observation_space: Space, action_space: Space) -> None:
        """
        :param observation_space: of an environment
        :param action_space: of an environment
        :raises ValueError: if the agent was trained in others
        """
        own = (self.policy.observation_space, self.policy.action_space)
        mine, its = own[1], action_space
        are_boxes = isinstance(mine, spaces.Box) and isinstance(its, spaces.Box)
        if are_boxes and same_kind(mine, its) and not same_actions(mine, its):
            assert isinstance(mine, spaces.Box) and isinstance(its, spaces.Box)
            raise ArgumentError(
                f"the agent's actions lie in [{mine.low.min():g}, {mine.high.max():g}], those of the environment in "
                f"[{its.low.min():g}, {its.high.max():g}]: put the wrapper around it that the agent was trained with "
                "(`RescaleAction`?)"
            )
        if (found := difference(own, (observation_space, action_space))) is not None:
            name, wanted, given = found
            raise ArgumentError(f"the agent was trained for {name} space {wanted}, the environment has {given}")

    @property
    def needs_masks(self) -> bool:
        """Whether it was trained with masks, and is not to act without."""
        return self.takes_masks and bool(getattr(self.policy, "needs_masks", True))

    def check_masks(self, env: VecEnv) -> None:
        """
        :param env: an environment
        :raises ValueError: if the agent must know which actions are allowed, and the environment does not say
        """
        if self.needs_masks and not has_masks(env):
            raise ArgumentError(
                "the agent's actions depend on action masks, and the environment has no method `action_masks`: give it the "
                "one that the agent was trained with (one that allows everything, if it was trained without)"
            )

    def masks_of(self, env: VecEnv) -> Array | None:
        """
        :param env: an environment
        :return: which actions are allowed now ``(n, n_actions)``; ``None`` if the agent does not ask, or nobody says
        """
        return masks_of(env) if self.needs_masks or (self.takes_masks and has_masks(env)) else None

    def __call__(self, observations: RawObservations, action_masks: Array | None = None, deterministic: bool = True) -> Array:
        """
        :param observations: of the environments, as they are ``(n, *obs)``
        :param action_masks: which actions are allowed ``(n, n_actions)``, for an agent that ``takes_masks``
        :param deterministic: whether actions are greedy; else the policy samples, with PyTorch's global generator
        :return: actions ``(n, *action)``
        """
        if self.normalization is not None:
            observations = cast(RawObservations, self.normalization.normalize_obs(observations))  # type: ignore[arg-type]
        return self._predict(observations, action_masks, deterministic)[0]

    def _predict(
        self, observations: RawObservations, action_masks: Array | None = None, deterministic: bool = True
    ) -> tuple[Array, object]:
        answer: tuple[Array, object]
        if action_masks is None:
            answer = self.policy.predict(observations, deterministic=deterministic)  # type: ignore[arg-type]
        else:
            policy = cast(Masking, self.policy)
            answer = policy.predict(observations, deterministic=deterministic, action_masks=action_masks)
        return np.asarray(answer[0]), answer[1]

    def _check_normalization(self) -> None:
        if self.normalization is None or not self.normalization.norm_obs:
            return
        space = self.policy.observation_space
        parts: dict[str | None, Shape | None] = {None: space.shape}
        if isinstance(space, spaces.Dict):
            parts = {key: part.shape for key, part in space.spaces.items()}
        for key, rms in statistics_of_keys(self.normalization).items():
            if parts.get(key) != rms.mean.shape:
                name = "" if key is None else f" {key!r}"
                raise ArgumentError(
                    f"the statistics are of observations{name} of shape {rms.mean.shape}, the agent was trained for "
                    f"{parts.get(key)}: pass those that were saved with it"
                )

    def _check_memory(self) -> None:
        """What a policy does tells whether it is recurrent: it returns a state, or the same question has two answers."""
        message = "the agent is recurrent: its actions do not follow from one observation"
        if needs := needs_of(self.policy):
            raise ArgumentError(f"{message}, but need {' and '.join(needs)} too")
        space = copy.deepcopy(self.policy.observation_space)
        space.seed(0)
        question = cast(RawObservations, map_leaves(lambda leaf: np.asarray(leaf)[None], space.sample()))
        answer, state = self._predict(question)
        if state is not None:
            raise ArgumentError(f"{message}, but from the state that `predict` returns too")
        if not np.allclose(answer, self._predict(question)[0], atol=1e-5, equal_nan=True):
            raise ArgumentError(f"{message}: asked the same twice, it answers otherwise")


def _load_statistics(statistics: Path, agent: Path, spaces_of_agent: SpacesOnly) -> VecNormalize:
    if not statistics.is_file():
        raise FileNotFoundError(f"there are no statistics {statistics}")
    try:
        return VecNormalize.load(str(statistics), DummyVecEnv([lambda: spaces_of_agent]))
    except Exception as error:
        if (sentence := missing_package(statistics, error)) is not None:
            raise ArgumentError(sentence) from error
        raise ArgumentError(f"{statistics} does not fit {agent} ({error}): say which statistics belong to it") from error
