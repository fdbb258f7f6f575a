"""Play becomes a recording."""

import numbers
import os
from typing import cast

import numpy as np
import torch as th
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from tqdm.auto import tqdm

from sb3_distill.arguments import drawn_seed
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.environments.finite import check_observations
from sb3_distill.environments.foreign.copies import copied, own_steps
from sb3_distill.environments.foreign.hand_over import EnvSource, environments_from
from sb3_distill.environments.origin import recorded
from sb3_distill.environments.vec_normalize import raw_observations
from sb3_distill.errors import ArgumentError, NotFiniteError
from sb3_distill.offline.checks import Columns
from sb3_distill.offline.players import RANDOM, Act, PlaySource, name_of, player, resolve, with_noise
from sb3_distill.offline.recording import Recording
from sb3_distill.offline.source import Source
from sb3_distill.trees import concatenate, index, stack
from sb3_distill.typing import Array, RawObservations

N_STEPS = 10_000
"""Steps of a recording for which neither steps nor episodes are said."""


def record(
    source: PlaySource,
    env: EnvSource | None = None,
    n_steps: int | None = None,
    n_episodes: int | None = None,
    deterministic: bool = False,
    noise: float = 0.0,
    n_envs: int = 8,
    seed: int | None = 0,
    progress_bar: bool = False,
    n_learners: int | None = None,
    name: str | None = None,
    normalization: str | os.PathLike[str] | None = None,
) -> Recording:
    """
    Let an agent, fresh learners of a dataset, or chance play, and keep what they see, do and get.

    :param source: an agent (a model of SB3, its policy, an ``Expert``, or the path of a zip, a pickle), a dataset (or its path
        or name), or ``"random"``
    :param env: the environment, in any form that ``evaluate_learners`` takes; ``None`` for that of the dataset
    :param n_steps: steps of all environments together; the last episode of each environment is cut there. ``None``: 10,000
    :param n_episodes: number of episodes instead, all of them whole; each environment plays an equal share of them
    :param deterministic: whether actions are the most likely ones; sampled ones otherwise, where the policy samples
    :param noise: what is added to the actions. For a ``Box``: standard deviation of a Gaussian, as a share of half the range
        of each action (of 1 without bounds), clipped at the bounds. For choices: probability that an action is random
    :param n_envs: number of environments, where ``env`` does not decide it
    :param seed: seed of environments, learners, actions and noise
    :param progress_bar: whether a bar is shown
    :param n_learners: number of fresh learners of a dataset, which divides the number of environments; ``None``: one for each
    :param name: what the recording calls the source; ``None``: name of the file, the set or the class
    :param normalization: the ``vecnormalize.pkl`` that was saved with the zip of an agent, or ``"none"``, see ``Expert.load``
    :return: what was played. Observations and rewards are those of the environments, whatever a ``VecNormalize`` makes of them
    :raises ValueError: if the source was made for other spaces, there is no environment, or a number does not fit
    :raises FloatingPointError: if an observation or a reward is not finite
    """
    n_steps, n_episodes = _amounts(n_steps, n_episodes)
    name = name_of(source) if name is None else name
    if env is None and not isinstance(source, SyntheticDataset) and name_of(source) == RANDOM:
        raise ArgumentError("`env` is needed: random actions belong to no environment")
    player_of = resolve(source, normalization)
    if env is None:
        if not isinstance(player_of, SyntheticDataset):
            raise ArgumentError("`env` is needed: an agent does not say for which environment it was trained")
        env = player_of
    venv, is_ours = environments_from(env, n_envs, seed)
    try:
        inner = venv
        while isinstance(inner, VecNormalize):  # its bounds are not those of the environments
            inner = inner.venv
        n_learners = inner.num_envs if n_learners is None else n_learners
        if n_learners < 1 or inner.num_envs % n_learners:
            raise ArgumentError(f"`n_learners` must divide the {inner.num_envs} environments, got {n_learners}")
        generator = th.Generator().manual_seed(drawn_seed(seed))
        rng = np.random.default_rng(int(th.randint(2**62, (), generator=generator)))
        inner.action_space.seed(int(rng.integers(2**31)))
        inner.seed(seed)
        with raw_observations(inner):
            act = with_noise(player(player_of, inner, deterministic, n_learners, generator), inner, noise, rng)
            columns = _play(inner, act, n_steps, n_episodes, progress_bar)
        origin = recorded(inner)
    finally:
        if is_ours:
            venv.close()
    is_random = player_of == RANDOM
    played_by = Source(name, None if seed is None else int(seed), False if is_random else bool(deterministic), float(noise))
    return Recording(inner.observation_space, inner.action_space, columns, [played_by], origin)


def _amounts(n_steps: int | None, n_episodes: int | None) -> tuple[int | None, int | None]:
    """Numbers of steps and of episodes, one of which is ``None``."""
    if n_steps is not None and n_episodes is not None:
        raise ArgumentError("`n_steps` and `n_episodes` say the same: leave out one of them")
    for word, number in (("n_steps", n_steps), ("n_episodes", n_episodes)):
        if number is not None and (isinstance(number, bool) or not isinstance(number, numbers.Integral) or number < 1):
            raise ArgumentError(f"`{word}` must be at least 1 and whole, got {number}")
    return (N_STEPS, None) if n_steps is None and n_episodes is None else (n_steps, n_episodes)


def _shares(total: int, n_envs: int) -> Array:
    """Equal shares of the environments, the first ones one more."""
    return np.full(n_envs, total // n_envs) + (np.arange(n_envs) < total % n_envs)


def _play(venv: VecEnv, act: Act, n_steps: int | None, n_episodes: int | None, progress_bar: bool) -> Columns:
    """What environments show while somebody acts: the episodes of the first environment, then those of the second, ..."""
    n = venv.num_envs
    share = _shares(n_episodes or n_steps or 0, n)
    tapes = [_Tape() for _ in range(n)]
    done_so_far = np.zeros(n, dtype=int)
    observations, step = own_steps(venv, venv.reset())
    seen = cast(RawObservations, observations)
    check_observations(seen, 0)
    t = 0
    unit = "step" if n_episodes is None else "episode"
    with tqdm(total=int(share.sum()), unit=unit, disable=not progress_bar) as bar:
        while (running := done_so_far < share).any():
            seen = copied(seen)
            actions = np.asarray(act(seen))
            after, rewards, dones, infos = step(actions)
            t += 1
            check_observations(after, t)
            if not np.isfinite(rewards).all():
                bad = int(np.flatnonzero(~np.isfinite(rewards))[0])
                raise NotFiniteError(f"reward is NaN or infinite at step {t} of environment {bad}")
            for i in np.flatnonzero(running).tolist():
                tape = tapes[i]
                tape.add(index(seen, i), actions[i], float(rewards[i]))
                counted = n_episodes is None
                if dones[i]:
                    last = infos[i].get("terminal_observation")
                    if last is None:
                        raise ArgumentError(f"{venv} does not say `terminal_observation` where an episode ends, as SB3's do")
                    tape.end(last, bool(infos[i].get("TimeLimit.truncated", False)))
                    counted = True
                elif n_episodes is None and done_so_far[i] + 1 == share[i]:
                    tape.end(index(copied(cast(RawObservations, after)), i), None)
                if counted:
                    done_so_far[i] += 1
                    bar.update()
            seen = cast(RawObservations, after)
    return _joined([tape for tape in tapes if tape.rewards])


class _Tape:
    """What one environment has shown so far."""

    def __init__(self) -> None:
        self.observations: list[RawObservations] = []
        self.actions: list[Array] = []
        self.rewards: list[float] = []
        self.ends: list[int] = []
        self.last: list[RawObservations] = []
        self.truncated: list[bool | None] = []

    def add(self, observation: RawObservations, action: Array, reward: float) -> None:
        self.observations.append(observation)
        self.actions.append(action)
        self.rewards.append(reward)

    def end(self, last_observation: RawObservations, truncated: bool | None) -> None:
        """:param truncated: whether a limit cut the episode off; ``None`` where only the recording stops"""
        self.ends.append(len(self.rewards))
        self.last.append(last_observation)
        self.truncated.append(truncated)


def _joined(tapes: list[_Tape]) -> Columns:
    ends = np.concatenate([np.array(tape.ends) + n for tape, n in zip(tapes, _lengths_before(tapes), strict=True)])
    endings = [ending for tape in tapes for ending in tape.truncated]
    n_all = int(ends[-1])
    terminated, truncated = np.zeros(n_all, dtype=bool), np.zeros(n_all, dtype=bool)
    terminated[ends - 1] = [ending is False for ending in endings]
    truncated[ends - 1] = [ending is True for ending in endings]
    return Columns(
        concatenate([stack(tape.observations) for tape in tapes]),
        np.concatenate([np.stack(tape.actions) for tape in tapes]),
        np.concatenate([np.array(tape.rewards) for tape in tapes]),
        terminated,
        truncated,
        ends,
        stack([last for tape in tapes for last in tape.last]),
        np.zeros(len(ends), dtype=int),
    )


def _lengths_before(tapes: list[_Tape]) -> list[int]:
    return [0, *np.cumsum([len(tape.rewards) for tape in tapes])[:-1].tolist()]
