"""Who plays while a recording is made: an agent, learners of a dataset, or chance."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import VecEnv

from sb3_distill.dagger.expert import Expert
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.environments.foreign.masks import masks_for_learners, random_actions
from sb3_distill.errors import ArgumentError
from sb3_distill.evaluation.play import ActingLearners
from sb3_distill.evaluation.protocol import sampler_of
from sb3_distill.spaces.sizes import class_sizes
from sb3_distill.teaching.acting import Actor
from sb3_distill.typing import Array, RawObservations

RANDOM = "random"
"""The source that plays random actions."""
PlaySource: TypeAlias = str | os.PathLike[str] | BaseAlgorithm | BasePolicy | Expert | SyntheticDataset
"""An agent (a model, its policy, an ``Expert``, the path of a zip), a dataset (or its path or name), or ``"random"``."""
Act: TypeAlias = Callable[[RawObservations], Array]
"""Actions ``(n, *action)`` for raw observations of n environments ``(n, *obs)``."""


def resolve(source: PlaySource, normalization: str | os.PathLike[str] | None = None) -> Expert | SyntheticDataset | str:
    """
    :param source: see ``PlaySource``; a path that ends in ``.zip`` is an agent
    :param normalization: statistics of an agent that is read from a zip, see ``Expert.load``
    :return: an agent, a dataset or ``RANDOM``
    :raises ValueError: for anything else, or what ``Expert.load`` and ``SyntheticDataset.load`` refuse
    """
    is_zip = isinstance(source, (str, os.PathLike)) and Path(source).suffix == ".zip"
    if normalization is not None and not is_zip:
        raise ArgumentError("`normalization` belongs to the zip of an agent; an Expert and a dataset have theirs")
    if isinstance(source, (Expert, SyntheticDataset)):
        return source
    if isinstance(source, BaseAlgorithm):
        return Expert(source.policy, source.get_vec_normalize_env())
    if isinstance(source, BasePolicy):
        return Expert(source)
    if not isinstance(source, (str, os.PathLike)):
        raise ArgumentError(f"`source` must be an agent, a dataset or {RANDOM!r}, got {repr(source)[:200]}")
    if str(source) == RANDOM:
        return RANDOM
    return Expert.load(source, normalization) if is_zip else SyntheticDataset.load(source)


def name_of(source: PlaySource) -> str:
    """
    :param source: see ``PlaySource``
    :return: what a recording calls it: the name of a file without its folder, of a shipped set, or of a class
    """
    if isinstance(source, (str, os.PathLike)):
        return Path(source).name if Path(source).suffix in (".zip", ".safetensors") else str(source)
    if isinstance(source, SyntheticDataset):
        return f"learner of {source.info.env_id or 'a dataset'}"
    return type(source.policy if isinstance(source, Expert) else source).__name__


def player(
    source: Expert | SyntheticDataset | str, env: VecEnv, deterministic: bool, n_learners: int, generator: th.Generator
) -> Act:
    """
    :param source: an agent, a dataset or ``RANDOM``
    :param env: environments in which it will play
    :param deterministic: whether actions are the most likely ones
    :param n_learners: number of fresh learners of a dataset, which share the environments evenly
    :param generator: source of randomness (CPU)
    :return: how it acts
    :raises ValueError: if it was made for other spaces, or an agent needs masks that the environments do not have
    """
    if isinstance(source, str):
        return lambda _: random_actions(env)
    if isinstance(source, Expert):
        source.check_spaces(env.observation_space, env.action_space)
        source.check_masks(env)
        return _agent(source, env, deterministic, generator)
    source.check_spaces(env.observation_space, env.action_space)
    with th.no_grad():
        sampler = sampler_of(source, n_learners, None, None, None)
        learners = source.teach(sampler.sample(n_learners, generator))
        normalize_images = bool(source.info.policy_kwargs.get("normalize_images", True))
        actor = Actor(source, sampler.factory.action_distribution(sampler.components[0]), normalize_images)
    act = ActingLearners(actor, learners, generator, deterministic, masks_for_learners(env))
    return th.no_grad()(act)


def _agent(expert: Expert, env: VecEnv, deterministic: bool, generator: th.Generator) -> Act:
    """SB3's policies sample with PyTorch's global generator, which is lent to them and taken back."""
    lent = th.Generator().manual_seed(int(th.randint(2**62, (), generator=generator)))

    def act(observations: RawObservations) -> Array:
        masks = expert.masks_of(env)
        if deterministic:
            return expert(observations, masks)
        before = th.get_rng_state()
        th.set_rng_state(lent.get_state())
        try:
            return expert(observations, masks, deterministic=False)
        finally:
            lent.set_state(th.get_rng_state())
            th.set_rng_state(before)

    return act


def with_noise(act: Act, env: VecEnv, noise: float, rng: np.random.Generator) -> Act:
    """
    :param act: how somebody acts
    :param env: environments in which it plays
    :param noise: see ``record``
    :param rng: source of randomness
    :return: the same with noise
    :raises ValueError: if ``noise`` is negative, or no probability where actions are choices
    """
    space = env.action_space
    is_box = isinstance(space, spaces.Box)
    if not 0 <= noise < np.inf or (noise > 1 and not is_box):
        raise ArgumentError(f"`noise` must be {'at least 0' if is_box else 'in [0, 1]'}, got {noise}")
    if noise == 0:
        return act
    if isinstance(space, spaces.Box):
        is_bounded = space.bounded_below & space.bounded_above
        half = np.where(is_bounded, (space.high.astype(np.float64) - space.low) / 2, 1.0)
        return lambda observations: np.clip(
            act(observations) + noise * half * rng.standard_normal((env.num_envs, *space.shape)), space.low, space.high
        ).astype(space.dtype)

    class_sizes(space)  # refuses what has no choices

    def act_at_random_now_and_then(observations: RawObservations) -> Array:
        actions = np.asarray(act(observations))
        is_random = rng.random(env.num_envs) < noise
        return np.where(is_random.reshape(-1, *[1] * (actions.ndim - 1)), random_actions(env), actions)

    return act_at_random_now_and_then
