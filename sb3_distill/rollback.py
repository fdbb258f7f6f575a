"""The ladder of Table 2 of Wilhelm & Ventura (2025): an encoder gives its layers back to the learners, one level at a time."""

import itertools
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch as th
from stable_baselines3.common.vec_env import VecEnv

from sb3_distill.checkpoints import Checkpoints, resume
from sb3_distill.evaluation import evaluate_learners
from sb3_distill.networks import critic_of
from sb3_distill.ppmo import PPMO

RESULTS = "rollback.json"


def rollback(
    policy: Any,
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
) -> dict[str, dict[str, Any]]:
    """
    Distil level by level, each from what the level before has learned: its encoder without the last layers, its synthetic
    data, and its critic. A run that is cut off goes on from its last checkpoint; a level that is done is not done again; but
    the last one goes on if ``total_timesteps`` is larger now.

    :param policy: as for ``PPMO``
    :param make_env: makes the environments to learn in, anew for each level
    :param levels: layers in the encoder, from many to few
    :param total_timesteps: of the environments, for each level
    :param folder: for the datasets (``l<level>.safetensors``), the results and the checkpoints
    :param eval_learners: fresh learners that are evaluated
    :param eval_episodes: episodes of each
    :param eval_env: makes the environments to be evaluated in, a given number of them; ``None``: the dataset's own
    :param minutes: between checkpoints
    :param progress_bar: show one
    :param kwargs: further arguments of ``PPMO``
    :return: for each level, by its number as text: scores, environment steps in all, iterations and seconds of this level
    :raises ValueError: if levels do not fall or are below 0, a number is below 1, or the folder holds another ladder
    """
    if not levels or min(levels) < 0 or any(low >= high for high, low in itertools.pairwise(levels)):
        raise ValueError(f"`levels` must fall, e.g. 4, 3, 2, 1, 0; got {', '.join(map(str, levels))}")
    for name, number in (
        ("total_timesteps", total_timesteps), ("eval_learners", eval_learners), ("eval_episodes", eval_episodes),
    ):  # fmt: skip
        if number < 1:
            raise ValueError(f"`{name}` must be at least 1, got {number}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    results = read_results(folder)
    run = {"policy": str(policy), "arguments": {name: str(value) for name, value in sorted(kwargs.items())}}
    above: int | None = None
    for level in levels:
        known = results.get(str(level))
        if known is not None and known["above"] != above:
            raise ValueError(
                f"{folder} holds a level {level} that came from level {known['above']}, not {above}: take another"
            )
        is_last = known is not None and all(int(other) >= level for other in results)
        if known is None or (is_last and known["level_timesteps"] < total_timesteps):
            model = _distil(policy, make_env, level, above, total_timesteps, folder, minutes, progress_bar, kwargs)
            run["env_id"] = str(model.dataset.info.env_id)
            _check_same(results, run, folder)
            model.dataset.save(folder / f"l{level}.safetensors")
            scores = {
                name: evaluate_learners(
                    model.dataset, eval_learners, eval_episodes, name == "greedy", env=eval_env, seed=0,
                    progress_bar=progress_bar, policy=model.policy_class, policy_kwargs=model._learner_kwargs(),
                ).summary()
                for name in ("sampled", "greedy")
            }  # fmt: skip
            model.dataset.info.scores = scores
            model.dataset.save(folder / f"l{level}.safetensors")
            results[str(level)] = {
                **scores, "above": above, "timesteps": model.dataset.info.timesteps, "level_timesteps": model.num_timesteps,
                "iterations": model.num_timesteps // (model.n_steps * model.n_envs), "seconds": model.learning_seconds,
                "run": run,
            }  # fmt: skip
            _write_results(folder, results)
        else:
            _check_same(results, run, folder)
        above = level
    return {str(level): results[str(level)] for level in levels}


def _check_same(results: dict[str, dict[str, Any]], run: dict[str, Any], folder: Path) -> None:
    """A folder is for one ladder."""
    for entry in results.values():
        for name, value in run.items():
            if entry["run"][name] != value:
                raise ValueError(
                    f"{folder} holds a ladder with another {name}: {entry['run'][name]}, not {value}; take another"
                )


def _distil(
    policy: Any,
    make_env: Callable[[], VecEnv],
    level: int,
    above: int | None,
    total_timesteps: int,
    folder: Path,
    minutes: float,
    progress_bar: bool,
    kwargs: dict[str, Any],
) -> Any:
    env, checkpoints = make_env(), folder / f"l{level}"
    try:
        model = resume(PPMO, checkpoints, env, device=kwargs.get("device", "auto"))
        if model is None:
            start = None if above is None else str(folder / f"l{above}.safetensors")
            if above is not None:  # then there are observations to go on from
                kwargs = {name: value for name, value in kwargs.items() if name != "dataset_init"}
            model = PPMO(policy, env, encoder_layers=level, encoder_from=start, **kwargs)
            if above is not None:
                _carry_critic(model, folder / f"l{above}", env)
        left = total_timesteps - model.num_timesteps
        if left > 0:
            model.learn(left, Checkpoints(checkpoints, minutes), reset_num_timesteps=False, progress_bar=progress_bar)
        return model
    finally:
        env.close()


@th.no_grad()
def _carry_critic(model: PPMO, checkpoints: Path, env: VecEnv) -> None:
    """The critic knows the task, whatever the level. The scale of rewards goes along, as a statistic of the environment."""
    before = resume(PPMO, checkpoints, env)
    if before is not None:
        known, trained = critic_of(before.policy), {id(value) for value in model._critic.parameters}
        for name, own in critic_of(model.policy).named_parameters():
            if id(own) in trained:  # else it is the encoder's
                own.copy_(known.get_parameter(name))


def read_results(folder: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    """What ``rollback`` has written, by level."""
    path = Path(folder) / RESULTS
    return json.loads(path.read_text()) if path.exists() else {}


def _write_results(folder: Path, results: dict[str, dict[str, Any]]) -> None:
    part = folder / f"{RESULTS}.part"
    part.write_text(json.dumps(results, indent=2) + "\n")
    part.replace(folder / RESULTS)
