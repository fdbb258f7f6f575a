"""A video of a freshly taught learner (needs imageio: ``pip install "sb3-distill[video]"``)."""

import os
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch as th
from stable_baselines3.common import atari_wrappers
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecFrameStack

from sb3_distill.dataset.recorded_arguments import refused_by_environment
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.dataset.wrapper_records import atari_options
from sb3_distill.environments.foreign.hand_over import EnvSource, environments_from
from sb3_distill.environments.foreign.masks import masks_for_learners
from sb3_distill.environments.make import as_vec_env
from sb3_distill.environments.plugins import recorded_env_id
from sb3_distill.environments.wrappers import check_sayable, wrap_vec_env
from sb3_distill.environments.wrappers import wrapper_class as make_wrapper
from sb3_distill.errors import ArgumentError, MissingExtraError
from sb3_distill.teaching.distilled_policy import DistilledPolicy
from sb3_distill.typing import Array, Env, Json
from sb3_distill.whole_files import write_whole

FORMATS = (".gif", ".mp4")
"""Kinds of videos, by the ending of the file."""
FASTEST_GIF = 50
"""Frames a second that every viewer of GIFs can show."""


def watch(
    dataset: SyntheticDataset | str | os.PathLike[str],
    path: str | os.PathLike[str],
    seed: int | None = 0,
    deterministic: bool = False,
    max_steps: int = 2_000,
    policy: str | type[BasePolicy] | BasePolicy | None = None,
    policy_kwargs: Mapping[str, object] | None = None,
    env: EnvSource | None = None,
    allow_imports: Collection[str] = (),
) -> tuple[float, int]:
    """
    Teach a fresh policy and film an episode of it.

    :param dataset: what to teach; also a path or the name of a shipped set
    :param path: path of the video, ``*.gif`` or ``*.mp4``
    :param seed: seed of the policy, its actions and the environment; ``None`` draws from torch's global generator, which is
        left alone otherwise
    :param deterministic: whether the most likely action is taken instead of a sampled one
    :param max_steps: number of steps after which the video ends
    :param policy: see ``DistilledPolicy.from_dataset``
    :param policy_kwargs: likewise
    :param env: the environment, see ``evaluate_learners``; one that is made already must have ``render_mode="rgb_array"``.
        ``None`` for the dataset's
    :param allow_imports: see ``make_vec_env``
    :return: the return of the episode so far, and the number of frames
    :raises ImportError: without imageio
    :raises ValueError: for another ending, or an environment that does not draw pictures
    """
    try:
        import imageio.v2  # noqa: F401  (needed in the end; missed before the work)
    except ImportError as error:
        raise MissingExtraError(f'videos need imageio: pip install "sb3-distill[video]" ({error})') from error
    path = Path(path)
    if path.suffix not in FORMATS:
        raise ArgumentError(f"a video must be called {' or '.join(f'*{ending}' for ending in FORMATS)}, got {path}")
    if max_steps < 1:
        raise ArgumentError(f"`max_steps` must be at least 1, got {max_steps}")
    dataset = SyntheticDataset.of(dataset)
    learner = DistilledPolicy.from_dataset(dataset, policy, policy_kwargs, seed, device="cpu")
    with _drawing_off_screen():
        if env is None:
            venv, is_ours = make_visible(dataset, allow_imports), True
        else:
            venv, is_ours = environments_from(env, 1, env_kwargs={"render_mode": "rgb_array"})
        try:
            dataset.check_spaces(venv.observation_space, venv.action_space)
            total, frames = _film(venv, learner, seed, deterministic, max_steps)
            fps = _frames_a_second(venv, dataset)
        finally:
            if is_ours:
                venv.close()
    _write_video(path, frames, fps)
    return total, len(frames)


def _film(
    env: VecEnv, learner: DistilledPolicy, seed: int | None, deterministic: bool, max_steps: int
) -> tuple[float, list[Array]]:
    """Play one episode; its return, and a frame before the first and after each step."""
    with th.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            th.default_generator.manual_seed(seed)  # `th.manual_seed` would seed GPUs too
        env.seed(seed)
        env.action_space.seed(seed)
        observation, frames, total = env.reset(), [_frame(env)], 0.0
        masks = masks_for_learners(env) if learner.takes_masks else None
        for _ in range(max_steps):
            allowed = None if masks is None else masks()
            action, _ = learner.predict(observation, deterministic=deterministic, action_masks=allowed)
            observation, rewards, dones, infos = env.step(action)
            total += float(rewards[0])
            if "episode" in infos[0]:  # of the task; a lost life may only look like the end
                return float(infos[0]["episode"]["r"]), frames
            if not dones[0]:
                frames.append(_frame(env))
    return total, frames


def _frame(env: VecEnv) -> Array:
    frame = env.render()
    if frame is None:
        raise ArgumentError("this environment does not draw pictures: was it made with render_mode='rgb_array'?")
    return np.asarray(frame)


def _frames_a_second(env: VecEnv, dataset: SyntheticDataset) -> float:
    options = atari_options(dataset.info.wrappers)
    if options is not None:  # an action is held for several of a console's 60 frames in a second
        return 60 / float(options["frame_skip"])
    return float(env.get_attr("metadata")[0].get("render_fps", 30))


def _write_video(path: Path, frames: list[Array], fps: float) -> None:
    import imageio.v2 as imageio

    def write(scratch: Path) -> None:
        if path.suffix == ".gif":
            imageio.mimsave(scratch, frames, duration=1000 / min(fps, FASTEST_GIF), loop=0)  # type: ignore[arg-type]
        else:
            imageio.mimsave(scratch, frames, fps=fps, macro_block_size=2)  # type: ignore[arg-type]

    write_whole(path, write)


@contextmanager
def _drawing_off_screen() -> Iterator[None]:
    """
    Let MuJoCo draw where there is no screen, which it does by ``MUJOCO_GL=egl`` only.

    The package ``mujoco`` reads the variable when it is first imported, and Gymnasium when it first draws. So it is set
    while an environment is made and drawn, and put back afterwards; what was imported meanwhile keeps to EGL.
    """
    has_screen = sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if has_screen or "MUJOCO_GL" in os.environ:
        yield
        return
    os.environ["MUJOCO_GL"] = "egl"
    try:
        yield
    finally:
        os.environ.pop("MUJOCO_GL", None)


@_drawing_off_screen()
def make_visible(dataset: SyntheticDataset, allow_imports: Collection[str] = ()) -> VecEnv:
    """
    :param dataset: a dataset that says for which environment it was made
    :param allow_imports: see ``make_vec_env``
    :return: one such environment, in its wrappers, that draws pictures
    :raises ValueError: if the dataset does not say
    """
    info = dataset.info
    if info.env_id is None:
        raise ArgumentError("the dataset does not say for which environment it was made: there is nothing to watch")
    env_id = recorded_env_id(info, allow_imports)
    options = atari_options(info.wrappers)
    check_sayable(info.wrappers)
    wrap = make_wrapper(info.wrappers, allow_imports)

    def make() -> Env:
        kwargs = info.env_arguments
        if options is not None:  # ALE's vector environment draws nothing; this is the same task
            kwargs |= {"repeat_action_probability": options["action_repeat_probability"], "frameskip": 1}
        with refused_by_environment(info):
            env: Env = Monitor(gym.make(env_id, render_mode="rgb_array", **kwargs))
        if options is not None:
            return _preprocessed(env, options)
        return env if wrap is None else wrap(env)

    env: VecEnv = DummyVecEnv([make])
    if options is not None:
        env = VecFrameStack(env, options["n_stack"])
    return as_vec_env(wrap_vec_env(env, info.wrappers))


def _preprocessed(env: Env, options: Json) -> Env:
    """What ``AtariVecEnv`` does, in SB3's wrappers (``AtariWrapper`` would press FIRE unasked)."""
    env = atari_wrappers.NoopResetEnv(env, options["noop_max"]) if options["noop_max"] else env
    env = atari_wrappers.MaxAndSkipEnv(env, options["frame_skip"])
    env = atari_wrappers.EpisodicLifeEnv(env) if options["terminal_on_life_loss"] else env
    env = atari_wrappers.FireResetEnv(env) if options["fire_reset"] else env
    env = atari_wrappers.WarpFrame(env, options["screen_size"], options["screen_size"])
    return atari_wrappers.ClipRewardEnv(env) if options["clip_reward"] else env
