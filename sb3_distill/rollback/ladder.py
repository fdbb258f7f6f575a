"""The ladder of Table 2 of Wilhelm & Ventura (2025): an encoder gives its layers back to the learners, one level at a time."""

import itertools
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch as th
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_normalize

from sb3_distill.dataset.file import write_whole
from sb3_distill.dataset.wrapper_records import described
from sb3_distill.environments.origin import env_origin
from sb3_distill.environments.wrappers import check_known, recorded_wrappers
from sb3_distill.errors import ArgumentError
from sb3_distill.evaluation.protocol import evaluate_learners
from sb3_distill.networks.anatomy import critic_of
from sb3_distill.ppmo import PPMO
from sb3_distill.rollback.checkpoints import Checkpoints, found, resume

RESULTS, RUN = "rollback.json", "run.json"
DEFAULT_CLIP = 10.0
"""Of rewards that a ``VecNormalize`` has scaled."""


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
    the last one goes on if ``total_timesteps`` is larger now and its checkpoints are there.

    :param policy: as for ``PPMO``
    :param make_env: makes the environments to learn in, anew for each level
    :param levels: layers in the encoder, from many to few
    :param total_timesteps: of the environments, for each level
    :param folder: for the datasets (``l<level>.safetensors``), the critics (``l<level>-critic.safetensors``), the results and
        the checkpoints. To go on from a finished level elsewhere take the first three along (without the critic it is
        learned anew)
    :param eval_learners: fresh learners that are evaluated
    :param eval_episodes: episodes of each
    :param eval_env: makes the environments to be evaluated in, a given number of them; ``None``: the dataset's own
    :param minutes: between checkpoints
    :param progress_bar: show one
    :param kwargs: further arguments of ``PPMO``
    :return: for each level, by its number as text: scores, environment steps in all, iterations and seconds of this level, and
        seconds in all where every level was learned on this device
    :raises ValueError: if levels do not fall or are below 0, a number is below 1, the folder holds another ladder, or without
        ``eval_env`` the environments to be evaluated in are not known
    """
    if not levels or min(levels) < 0 or any(low >= high for high, low in itertools.pairwise(levels)):
        raise ArgumentError(f"`levels` must fall, e.g. 4, 3, 2, 1, 0; got {', '.join(map(str, levels))}")
    for name, number in (
        ("total_timesteps", total_timesteps), ("eval_learners", eval_learners), ("eval_episodes", eval_episodes),
    ):  # fmt: skip
        if number < 1:
            raise ArgumentError(f"`{name}` must be at least 1, got {number}")
    folder = Path(folder)
    results = read_results(folder)
    env = make_env()
    try:
        if eval_env is None:
            _check_known(env)
        run = _describe(policy, env, kwargs)
    finally:
        env.close()
    _check_same(run, folder)
    above: int | None = None
    for level in levels:
        known = results.get(str(level))
        if known is not None and known["above"] != above:
            raise ArgumentError(
                f"{folder} holds a level {level} that came from level {known['above']}, not {above}: take another"
            )
        can_go_on = found(folder / f"l{level}") and all(int(other) >= level for other in results)
        if known is None or (can_go_on and known["level_timesteps"] < total_timesteps):
            model = _distil(policy, make_env, level, above, total_timesteps, folder, run, minutes, progress_bar, kwargs)
            score_level(model, level, above, folder, eval_learners, eval_episodes, eval_env, progress_bar)
        above = level
    results = read_results(folder)
    return {str(level): results[str(level)] for level in levels}


def score_level(
    model: Any,
    level: int,
    above: int | None,
    folder: Path,
    eval_learners: int,
    eval_episodes: int,
    eval_env: Callable[[int], VecEnv] | None = None,
    progress_bar: bool = False,
    steps_before: int = 0,
    **facts: Any,
) -> None:
    """
    End a level: its dataset and its scores go into the folder of the ladder. Parameters as for ``rollback``.

    :param model: that has learned the level
    :param level: layers in its encoder
    :param above: the level that it came from
    :param steps_before: of the level, which the model does not count
    :param facts: what else is to be told with the scores
    """
    path, dataset = folder / f"l{level}.safetensors", model.dataset
    dataset.save(path)
    critic = critic_of(model.policy).named_parameters()
    write_whole(critic_path(folder, level), save({name: value.detach().cpu().contiguous() for name, value in critic}))
    dataset.info.scores = {
        name: evaluate_learners(
            dataset, eval_learners, eval_episodes, name == "greedy", env=eval_env, seed=0,
            progress_bar=progress_bar, policy=model.policy_class, policy_kwargs=model.learner_kwargs, device=model.device,
        ).summary()
        for name in ("sampled", "greedy")
    }  # fmt: skip
    dataset.save(path)
    steps, results = steps_before + model.num_timesteps, read_results(folder)
    device = th.cuda.get_device_name(model.device) if model.device.type == "cuda" else str(model.device)
    before = {} if above is None else results.get(str(above), {})
    in_all = 0.0 if above is None else before.get("seconds_in_all") if before.get("device") == device else None
    if steps_before and results.get(str(level), {}).get("device", device) != device:
        in_all = None  # its own steps were made on two devices
    entry = {
        **dataset.info.scores, "above": above, "timesteps": dataset.info.timesteps, "level_timesteps": steps,
        "iterations": steps // (model.n_steps * model.n_envs), "seconds": model.learning_seconds,
        "seconds_in_all": None if in_all is None else in_all + model.learning_seconds,
        "run": _read(folder / RUN),
        "device": device,
        "threads": th.get_num_threads(), **facts,
    }  # fmt: skip
    _write(folder / RESULTS, {**results, str(level): entry})


def _check_known(env: VecEnv) -> None:
    """Before hours of learning rather than after."""
    if env_origin(env)[0] is None:
        raise ArgumentError("it is not known by which id these environments are made: give `eval_env`")
    try:
        check_known(recorded_wrappers(env))
    except ValueError as error:
        raise ArgumentError(f"{error}, and give it as `eval_env`") from None


def _describe(policy: Any, env: VecEnv, kwargs: dict[str, Any]) -> dict[str, str]:
    """What all levels of a ladder have in common."""
    normalizer = unwrap_vec_normalize(env)
    run = {
        "policy": str(policy),
        "environment": str(env_origin(env)[0]),
        "number of environments": str(env.num_envs),
        "wrappers": described(recorded_wrappers(env)),
        "normalisation": "none"
        if normalizer is None
        else f"observations {normalizer.norm_obs}, rewards {normalizer.norm_reward}"
        + ("" if normalizer.clip_reward == DEFAULT_CLIP else f" up to {normalizer.clip_reward}"),
    }
    given = {name: re.sub(r" at 0x\w+", "", str(value)) for name, value in kwargs.items() if name != "device"}
    return run | {f"`{name}`": value for name, value in sorted(given.items())}


def _check_same(run: dict[str, str], folder: Path) -> None:
    """A folder is for one ladder, from its start: what a checkpoint goes on with are its own settings."""
    known = _read(folder / RUN) or run
    for name in [*known, *run]:
        if known.get(name) != run.get(name):
            raise ArgumentError(
                f"{folder} holds a ladder with another {name}: {known.get(name, 'default')}, not {run.get(name, 'default')}; "
                "take another"
            )


def _distil(
    policy: Any,
    make_env: Callable[[], VecEnv],
    level: int,
    above: int | None,
    total_timesteps: int,
    folder: Path,
    run: dict[str, str],
    minutes: float,
    progress_bar: bool,
    kwargs: dict[str, Any],
) -> Any:
    env, checkpoints = make_env(), folder / f"l{level}"
    try:
        model = resume(PPMO, checkpoints, env, device=kwargs.get("device", "auto"))
        if model is None:
            start = None if above is None else str(folder / f"l{above}.safetensors")
            model = PPMO(policy, env, encoder_layers=level, encoder_from=start, **kwargs)
            if above is not None:
                carry_critic(model, critic_path(folder, above))
        _write(folder / RUN, run)
        left = total_timesteps - model.num_timesteps
        if left > 0:
            model.learn(left, Checkpoints(checkpoints, minutes), reset_num_timesteps=False, progress_bar=progress_bar)
        return model
    finally:
        env.close()


def critic_path(folder: Path, level: int) -> Path:
    """Where the critic of a level is, see ``rollback``."""
    return folder / f"l{level}-critic.safetensors"


@th.no_grad()
def carry_critic(model: PPMO, path: Path) -> None:
    """
    The critic knows the task, whatever the level. What it is scaled by goes along in the dataset.

    :param model: whose critic is changed
    :param path: of another one of the same shape, see ``critic_path``; if there is none, nothing happens
    :raises ValueError: if it cannot be read
    """
    if not path.exists():
        return
    try:
        known = load_file(path)
    except SafetensorError as error:
        raise ArgumentError(f"{path} cannot be read ({error}): without it the critic is learned anew") from error
    trained = {id(value) for value in model.critic.parameters}
    for name, own in critic_of(model.policy).named_parameters():
        if id(own) in trained:  # else it is the encoder's
            own.copy_(known[name])


def read_results(folder: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    """What ``rollback`` has written, by level."""
    return _read(Path(folder) / RESULTS)


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise ArgumentError(f"{path} cannot be read: {error}") from error


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (json.dumps(content, indent=2) + "\n").encode())
