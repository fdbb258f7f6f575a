"""A video of a freshly taught learner (needs imageio: ``pip install "sb3-distill[video]"``)."""

import os
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch as th
from stable_baselines3.common import atari_wrappers
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecFrameStack

from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.dataset.wrapper_records import atari_options
from sb3_distill.environments.make import as_vec_env
from sb3_distill.environments.plugins import import_plugin
from sb3_distill.environments.wrappers import wrap_vec_env
from sb3_distill.environments.wrappers import wrapper_class as make_wrapper
from sb3_distill.errors import ArgumentError, MissingExtraError
from sb3_distill.teaching.distilled_policy import DistilledPolicy

FORMATS = (".gif", ".mp4")


def watch(
    dataset: SyntheticDataset | str | os.PathLike[str],
    path: str | os.PathLike[str],
    seed: int | None = 0,
    deterministic: bool = False,
    max_steps: int = 2_000,
    policy: Any = None,
    policy_kwargs: Any = None,
) -> tuple[float, int]:
    """
    Teach a fresh policy and film an episode of it.

    :param dataset: what to teach; also a path or the name of a shipped set
    :param path: of the video, ``*.gif`` or ``*.mp4``
    :param seed: of the policy, its actions and the environment
    :param deterministic: take the most likely action instead of sampling
    :param max_steps: end the video after so many steps
    :param policy: see ``DistilledPolicy.from_dataset``
    :param policy_kwargs: likewise
    :return: the return of the episode so far, and the number of frames
    :raises ImportError: without imageio
    :raises ValueError: for another ending, or an environment that does not draw pictures
    """
    try:
        import imageio.v2 as imageio
    except ImportError as error:
        raise MissingExtraError(f'videos need imageio: pip install "sb3-distill[video]" ({error})') from error
    path = Path(path)
    if path.suffix not in FORMATS:
        raise ArgumentError(f"a video must be called {' or '.join(f'*{ending}' for ending in FORMATS)}, got {path}")
    if max_steps < 1:
        raise ArgumentError(f"`max_steps` must be at least 1, got {max_steps}")
    dataset = SyntheticDataset.of(dataset)
    learner = DistilledPolicy.from_dataset(dataset, policy, policy_kwargs, seed, device="cpu")
    env = make_visible(dataset)
    if seed is not None:
        th.manual_seed(seed)
    try:
        dataset.check_spaces(env.observation_space, env.action_space)
        env.seed(seed)
        env.action_space.seed(seed)
        observation, frames, total = env.reset(), [_frame(env)], 0.0
        for _ in range(max_steps):
            action, _ = learner.predict(observation, deterministic=deterministic)  # type: ignore[arg-type]
            observation, reward, dones, infos = env.step(action)
            total += float(reward[0])
            if "episode" in infos[0]:  # of the task; a lost life may only look like the end
                total = float(infos[0]["episode"]["r"])
                break
            if not dones[0]:
                frames.append(_frame(env))
    finally:
        options = atari_options(dataset.info.wrappers)
        # An action is held for several of a console's 60 frames in a second.
        fps = env.get_attr("metadata")[0].get("render_fps", 30) if options is None else 60 / options["frame_skip"]
        env.close()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gif":
        imageio.mimsave(path, frames, duration=1000 / min(fps, 50), loop=0)
    else:
        imageio.mimsave(path, frames, fps=fps, macro_block_size=2)
    return total, len(frames)


def make_visible(dataset: SyntheticDataset) -> VecEnv:
    """
    :param dataset: that says for which environment it was made
    :return: one such environment, in its wrappers, that draws pictures
    :raises ValueError: if the dataset does not say
    """
    info = dataset.info
    if info.env_id is None:
        raise ArgumentError("the dataset does not say for which environment it was made: there is nothing to watch")
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        os.environ.setdefault("MUJOCO_GL", "egl")  # without a screen MuJoCo draws this way only
    import_plugin(info.env_id)
    options = atari_options(info.wrappers)
    wrap = make_wrapper(info.wrappers)

    def make() -> "gym.Env[Any, Any]":
        assert info.env_id is not None
        kwargs = dict(info.env_kwargs)
        if options is not None:  # ALE's vector environment draws nothing; this is the same task
            kwargs |= {"repeat_action_probability": options["action_repeat_probability"], "frameskip": 1}
        env: gym.Env[Any, Any] = Monitor(gym.make(info.env_id, render_mode="rgb_array", **kwargs))
        if options is not None:
            return _preprocessed(env, options)
        return env if wrap is None else wrap(env)

    env: VecEnv = DummyVecEnv([make])
    if options is not None:
        env = VecFrameStack(env, options["n_stack"])
    return as_vec_env(wrap_vec_env(env, info.wrappers))


def _preprocessed(env: "gym.Env[Any, Any]", options: dict[str, Any]) -> "gym.Env[Any, Any]":
    """What ``AtariVecEnv`` does, in SB3's wrappers (``AtariWrapper`` would press FIRE unasked)."""
    env = atari_wrappers.NoopResetEnv(env, options["noop_max"]) if options["noop_max"] else env
    env = atari_wrappers.MaxAndSkipEnv(env, options["frame_skip"])
    env = atari_wrappers.EpisodicLifeEnv(env) if options["terminal_on_life_loss"] else env
    env = atari_wrappers.FireResetEnv(env) if options["fire_reset"] else env
    env = atari_wrappers.WarpFrame(env, options["screen_size"], options["screen_size"])
    return atari_wrappers.ClipRewardEnv(env) if options["clip_reward"] else env


def _frame(env: VecEnv) -> Any:
    frame = env.render()
    if frame is None:
        raise ArgumentError("this environment does not draw pictures")
    return frame
