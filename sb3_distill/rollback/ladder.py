"""The ladder of Table 2 of Wilhelm & Ventura (2025): an encoder gives its layers back to the learners, one level at a time."""

import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv

from sb3_distill.environments.origin import env_origin, recorded_wrappers
from sb3_distill.environments.wrappers import check_known
from sb3_distill.errors import ArgumentError
from sb3_distill.ppmo import PPMO
from sb3_distill.rollback.checkpoints import Checkpoints, checkpoints_in, resume
from sb3_distill.rollback.level_files import (
    RUN,
    carry_critic,
    checkpoint_folder,
    critic_path,
    dataset_path,
    read_results,
    write_json,
)
from sb3_distill.rollback.same_ladder import check_same, describe_run
from sb3_distill.rollback.score import score_level
from sb3_distill.typing import Json

Policy = str | type[ActorCriticPolicy]


def rollback(
    policy: Policy,
    make_env: Callable[[], VecEnv],
    levels: Sequence[int],
    total_timesteps: int,
    folder: str | os.PathLike[str],
    eval_learners: int = 20,
    eval_episodes: int = 5,
    eval_env: Callable[[int], VecEnv] | None = None,
    minutes: float = 3.0,
    progress_bar: bool = False,
    **kwargs: Any,
) -> dict[str, Json]:
    """
    Distil level by level, each from what the level before has learned: its encoder without the last layers, its synthetic
    data, and its critic. A run that is cut off goes on from its last checkpoint; a level that is done is not done again; but
    the last one goes on if ``total_timesteps`` is larger now and its checkpoints are there.

    :param policy: as for ``PPMO``
    :param make_env: function that makes the environments to learn in, anew for each level
    :param levels: numbers of layers in the encoder, from many to few
    :param total_timesteps: number of environment steps of each level
    :param folder: folder for the datasets (``l<level>.safetensors``), the critics (``l<level>-critic.safetensors``), the
        results and the checkpoints. To go on from a finished level elsewhere take the first three along (without the critic
        it is learned anew)
    :param eval_learners: number of fresh learners that are evaluated
    :param eval_episodes: number of episodes of each
    :param eval_env: function that makes a given number of environments to be evaluated in; ``None``: the dataset's
    :param minutes: time between checkpoints
    :param progress_bar: whether a bar is shown
    :param kwargs: further arguments of ``PPMO``
    :return: for each level, by its number as text: scores, environment steps in all, iterations and seconds of this level, and
        seconds in all where every level was learned on this device
    :raises ValueError: if levels do not fall or are below 0, a number is below 1, the folder holds another ladder, or without
        ``eval_env`` the environments to be evaluated in are not known
    """
    _check_levels(levels)
    _check_positive(total_timesteps=total_timesteps, eval_learners=eval_learners, eval_episodes=eval_episodes)
    folder = Path(folder)
    results = read_results(folder)
    run = _describe_run(policy, make_env, kwargs, for_evaluation=eval_env is None)
    check_same(run, folder)
    ladder = _Ladder(policy, make_env, total_timesteps, folder, run, minutes, progress_bar, kwargs)
    for previous_level, level in zip([None, *levels], levels, strict=False):
        _check_origin(results, level, previous_level, folder)
        if _is_to_do(results, level, total_timesteps, folder):
            model = ladder.distil(level, previous_level)
            score_level(model, level, previous_level, folder, eval_learners, eval_episodes, eval_env, progress_bar)
    results = read_results(folder)
    return {str(level): results[str(level)] for level in levels}


@dataclass(frozen=True)
class _Ladder:
    """What all levels have in common; parameters as of ``rollback``, and ``describe_run`` of them."""

    policy: Policy
    make_env: Callable[[], VecEnv]
    total_timesteps: int
    folder: Path
    run: dict[str, str]
    minutes: float
    progress_bar: bool
    settings: Json

    def distil(self, level: int, previous_level: int | None) -> PPMO:
        """Learn a level, from its last checkpoint if there is one."""
        env, checkpoints = self.make_env(), checkpoint_folder(self.folder, level)
        try:
            model = resume(PPMO, checkpoints, env, device=self.settings.get("device", "auto"))
            if model is None:
                model = self._start(env, level, previous_level)
            write_json(self.folder / RUN, self.run)  # not before, since what cannot start must leave nothing behind
            left = self.total_timesteps - model.num_timesteps
            if left > 0:
                callback = Checkpoints(checkpoints, self.minutes)
                model.learn(left, callback, reset_num_timesteps=False, progress_bar=self.progress_bar)
            return model
        finally:
            env.close()

    def _start(self, env: VecEnv, level: int, previous_level: int | None) -> PPMO:
        """A new model, from what the previous level has learned."""
        start = None if previous_level is None else str(dataset_path(self.folder, previous_level))
        model = PPMO(self.policy, env, encoder_layers=level, encoder_from=start, **self.settings)
        if previous_level is not None:
            carry_critic(model, critic_path(self.folder, previous_level))
        return model


def _check_levels(levels: Sequence[int]) -> None:
    if not levels or min(levels) < 0 or any(low >= high for high, low in itertools.pairwise(levels)):
        raise ArgumentError(f"`levels` must fall, e.g. 4, 3, 2, 1, 0; got {', '.join(map(str, levels))}")


def _check_positive(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ArgumentError(f"`{name}` must be at least 1, got {number}")


def _describe_run(policy: Policy, make_env: Callable[[], VecEnv], settings: Json, for_evaluation: bool) -> dict[str, str]:
    """``describe_run`` of environments that are made for it; ``for_evaluation`` if it must be possible to make them again."""
    env = make_env()
    try:
        if for_evaluation:
            _check_known(env)
        return describe_run(policy, env, settings)
    finally:
        env.close()


def _check_known(env: VecEnv) -> None:
    """Whether environments of the same kind can be made later: asked before hours of learning, not after."""
    if env_origin(env)[0] is None:
        raise ArgumentError("it is not known by which id these environments are made: give `eval_env`")
    try:
        check_known(recorded_wrappers(env))
    except ValueError as error:
        raise ArgumentError(f"{error}, and give it as `eval_env`") from None


def _check_origin(results: dict[str, Json], level: int, previous_level: int | None, folder: Path) -> None:
    if (entry := results.get(str(level))) is not None and entry["above"] != previous_level:
        raise ArgumentError(
            f"{folder} holds a level {level} that came from level {entry['above']}, not {previous_level}: take another"
        )


def _is_to_do(results: dict[str, Json], level: int, total_timesteps: int, folder: Path) -> bool:
    """Whether a level has never been learned, or is the last one and can go on for longer."""
    entry = results.get(str(level))
    if entry is None:
        return True
    is_last = all(int(other) >= level for other in results)
    return is_last and entry["level_timesteps"] < total_timesteps and bool(checkpoints_in(checkpoint_folder(folder, level)))
