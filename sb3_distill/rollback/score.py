"""The end of a level of a ladder: its dataset is saved and scored."""

from collections.abc import Callable
from pathlib import Path

import torch as th
from stable_baselines3.common.vec_env import VecEnv

from sb3_distill.evaluation.protocol import evaluate_learners
from sb3_distill.ppmo import PPMO
from sb3_distill.rollback.checkpoints import learning_seconds
from sb3_distill.rollback.level_files import (
    RESULTS,
    RUN,
    critic_path,
    dataset_path,
    read_json,
    read_results,
    save_critic,
    write_json,
)
from sb3_distill.typing import Json


def score_level(
    model: PPMO,
    level: int,
    previous_level: int | None,
    folder: Path,
    eval_learners: int,
    eval_episodes: int,
    eval_env: Callable[[int], VecEnv] | None = None,
    progress_bar: bool = False,
    steps_before: int = 0,
    **facts: object,
) -> None:
    """
    End a level: its dataset and its scores go into the folder of the ladder.

    :param model: model that has learned the level
    :param level: number of layers in its encoder
    :param previous_level: number of layers of the level that it started from; ``None`` for the first level
    :param folder: folder of the ladder
    :param eval_learners: number of fresh learners that are evaluated
    :param eval_episodes: number of episodes of each
    :param eval_env: see ``rollback``
    :param progress_bar: whether a bar is shown
    :param steps_before: number of environment steps of the level that the model does not count
    :param facts: entries that are written beside the scores, in JSON form
    """
    dataset = model.dataset
    dataset.save(dataset_path(folder, level))
    save_critic(model, critic_path(folder, level))
    dataset.info.scores = {
        kind: evaluate_learners(
            dataset, eval_learners, eval_episodes, kind == "greedy", env=eval_env, seed=0, progress_bar=progress_bar,
            policy=model.policy_class, policy_kwargs=model.learner_kwargs, device=model.device,
        ).summary()
        for kind in ("sampled", "greedy")
    }  # fmt: skip
    dataset.save(dataset_path(folder, level))
    steps, results, device = steps_before + model.num_timesteps, read_results(folder), _name_of(model.device)
    seconds, seconds_before = learning_seconds(model), _seconds_before(results, previous_level, device)
    if steps_before and results.get(str(level), {}).get("device", device) != device:
        seconds_before = None  # the steps of this level were made on two devices
    entry: Json = {
        **dataset.info.scores,
        "above": previous_level,
        "timesteps": dataset.info.timesteps,
        "level_timesteps": steps,
        "iterations": steps // (model.n_steps * model.n_envs),
        "seconds": seconds,
        "seconds_in_all": None if seconds_before is None else seconds_before + seconds,
        "run": read_json(folder / RUN),
        "device": device,
        "threads": th.get_num_threads(),
        **facts,
    }
    write_json(folder / RESULTS, {**results, str(level): entry})


def _name_of(device: th.device) -> str:
    return th.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def _seconds_before(results: dict[str, Json], previous_level: int | None, device: str) -> float | None:
    """Seconds that all previous levels took; ``None`` if one of them was learned on another device."""
    if previous_level is None:
        return 0.0
    entry = results.get(str(previous_level), {})
    return entry.get("seconds_in_all") if entry.get("device") == device else None
