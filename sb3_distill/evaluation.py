"""The k-shot protocol of Table 1: teach fresh learners, let each play a number of episodes."""

import copy
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import torch as th
from scipy import stats
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.preprocessing import preprocess_obs
from stable_baselines3.common.utils import get_device, obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, is_vecenv_wrapped
from tqdm.auto import tqdm

from sb3_distill.action_distribution import ActionDistribution, to_env
from sb3_distill.dataset import SyntheticDataset
from sb3_distill.grids import load_grid
from sb3_distill.learner_distribution import LearnerDistribution
from sb3_distill.learners import Learners
from sb3_distill.policies import resolve_policy
from sb3_distill.vec_env import as_vec_env, is_cheap, make_vec_env
from sb3_distill.wrappers import atari_options

Returns = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """
    :param returns: undiscounted return of each episode ``(n_learners, n_episodes)``
    :param deterministic: whether the most likely action was taken, or one sampled from the policy
    :param inner_loop: how the learners were taught, as ``DatasetInfo.inner_loop`` says it; ``None`` if in another way
    """

    returns: Returns
    deterministic: bool
    inner_loop: Mapping[str, Any] | None = None

    @property
    def learner_means(self) -> Returns:
        """Mean return of each learner ``(n_learners,)``."""
        means: Returns = self.returns.mean(axis=1)
        return means

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(self.returns.mean())

    @property
    def std(self) -> float:
        """Standard deviation over learners of their mean returns, as in Table 1."""
        return float(self.learner_means.std())

    @property
    def iqm(self) -> float:
        """Interquartile mean over learners."""
        return float(stats.trim_mean(self.learner_means, 0.25))

    def iqm_interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """
        :param confidence: of the interval
        :return: bootstrap interval (percentiles, seeded) of the interquartile mean over learners
        """
        means = self.learner_means
        if len(means) < 2 or np.ptp(means) == 0:
            return self.iqm, self.iqm
        result = stats.bootstrap(
            (means,), lambda x, axis: stats.trim_mean(x, 0.25, axis=axis), confidence_level=confidence, n_resamples=2000,
            method="percentile", rng=np.random.default_rng(0),
        )  # fmt: skip
        return float(result.confidence_interval.low), float(result.confidence_interval.high)

    def summary(self) -> dict[str, Any]:
        """All figures in JSON form."""
        low, high = self.iqm_interval()
        return {
            "mean": self.mean,
            "std": self.std,
            "iqm": self.iqm,
            "iqm_low": low,
            "iqm_high": high,
            "n_learners": self.returns.shape[0],
            "n_episodes": self.returns.shape[1],
            "deterministic": self.deterministic,
            "inner_loop": None if self.inner_loop is None else dict(self.inner_loop),
        }


Dataset = SyntheticDataset | str | os.PathLike[str]


@overload
def evaluate_learners(dataset: Dataset, *args: Any, grid: None = None, **kwargs: Any) -> Evaluation: ...


@overload
def evaluate_learners(dataset: Dataset, *args: Any, grid: Any, **kwargs: Any) -> dict[str, Evaluation]: ...


def evaluate_learners(  # type: ignore[misc]  # the overloads only tell the kinds of result apart
    dataset: Dataset,
    n_learners: int = 100,
    n_episodes: int = 100,
    deterministic: bool = False,
    learner_distribution: Any = None,
    env: Callable[[int], VecEnv] | None = None,
    teach: bool | Callable[[Learners], Learners] = True,
    max_envs: int | None = None,
    seed: int | None = 0,
    progress_bar: bool = False,
    policy: str | type[BasePolicy] | None = None,
    policy_kwargs: Mapping[str, Any] | None = None,
    grid: Any = None,
    device: th.device | str = "cpu",
) -> Evaluation | dict[str, Evaluation]:
    """
    Draw learners, teach each the dataset, and let each play: the protocol of Table 1 of Wilhelm & Ventura (2025).

    All learners play at once, each in its own share of the environments.

    :param dataset: a dataset, a path, or the name of a shipped set
    :param n_learners: number of fresh learners
    :param n_episodes: number of episodes of each
    :param deterministic: take the most likely action instead of sampling
    :param learner_distribution: what to draw; ``None`` for the policy, initialised its own way
    :param env: makes a vector environment of a given number of environments; ``None`` for the dataset's own
    :param teach: leave the learners untaught if ``False``, for comparison; or another way of teaching: a function from
        initial learners to taught ones
    :param max_envs: bound of the number of environments; ``None``: 10,000, for simulators 128 (at least one per learner)
    :param seed: of learners, actions and environments
    :param progress_bar: show one
    :param policy: alias or class of the policy; ``None`` for the one that the dataset names
    :param policy_kwargs: its arguments
    :param grid: evaluate on each cell of a grid of learner distributions, see ``grids.load_grid``
    :param device: of the learners; ``"auto"`` or ``"cuda"`` for a GPU if there is one: faster where they have convolutions,
        not where they are small
    :return: returns per learner and episode; with a ``grid`` one evaluation for each cell, by name
    :raises DatasetError: if the environment's spaces are not those of the dataset
    :raises ValueError: if ``n_learners`` or ``n_episodes`` is below 1, ``env`` is not a function, or there is no such device
    """
    if n_learners < 1 or n_episodes < 1:
        raise ValueError(f"`n_learners` and `n_episodes` must be at least 1, got {n_learners} and {n_episodes}")
    try:
        device = get_device(device)
    except RuntimeError as error:
        raise ValueError(f"`device` must be cpu, cuda, auto or another one of PyTorch's, got {device!r}") from error
    if isinstance(dataset, SyntheticDataset):
        dataset = copy.deepcopy(dataset).to(device)
    else:
        dataset = SyntheticDataset.load(dataset, device)
    if grid is not None:
        cells = load_grid(grid)
        bar = tqdm(cells.items(), unit="cell", disable=not progress_bar)
        return {
            name: evaluate_learners(
                dataset, n_learners, n_episodes, deterministic, cell, env, teach, max_envs, seed,
                policy=policy, policy_kwargs=policy_kwargs, device=device,
            )
            for name, cell in bar
        }  # fmt: skip
    policy_class, policy_kwargs = resolve_policy(dataset, policy, policy_kwargs)
    generator = th.Generator()
    generator.manual_seed(int(th.randint(2**62, ())) if seed is None else seed)
    # Every learner may be of another shape; the bound is for training.
    distribution = replace(LearnerDistribution.parse(learner_distribution), n_shapes=n_learners)
    sampler = distribution.bind(
        policy_class,
        policy_kwargs,
        dataset.info.observation_space,
        dataset.info.action_space,
        device,
        dataset.statistics,
        dataset.encoder,
    )
    if not (env is None or callable(env)):
        raise ValueError(f"`env` must be a function from a number of environments to a VecEnv, got {env!r}")
    make = env or partial(_make_true_env, dataset)
    if max_envs is None:
        cheap = env is not None or (dataset.info.env_id is not None and is_cheap(dataset.info.env_id))
        max_envs = 10_000 if cheap else 128
    per_learner = max(1, min(n_episodes, max_envs // n_learners))
    venv = as_vec_env(make(n_learners * per_learner))
    try:
        dataset.check_spaces(venv.observation_space, venv.action_space)
        venv.seed(seed)
        learners = sampler.sample(n_learners, generator)
        if callable(teach):
            learners = teach(learners)
        with th.no_grad():
            if teach is True:
                learners = dataset.teach(learners)
            actor = _Player(dataset, learners, sampler.action_distribution(), generator, deterministic)
            returns = _play(venv, actor, n_learners, n_episodes, progress_bar)
    finally:
        venv.close()
    return Evaluation(returns, deterministic, dataset.info.inner_loop if teach is True else None)


def _make_true_env(dataset: SyntheticDataset, n_envs: int) -> VecEnv:
    """The dataset's own environment; scores of Atari games are not clipped, and of whole games."""
    is_atari = atari_options(dataset.info.wrappers) is not None
    true = {"clip_reward": False, "terminal_on_life_loss": False} if is_atari else None
    return make_vec_env(dataset, n_envs, vec_env_kwargs=true)


class _Player:
    """Actions of all learners for the observations of all environments."""

    def __init__(
        self,
        dataset: SyntheticDataset,
        learners: Learners,
        distribution: ActionDistribution,
        generator: th.Generator,
        deterministic: bool,
    ) -> None:
        self.dataset, self.learners, self.generator, self.deterministic = dataset, learners, generator, deterministic
        self.distribution = distribution
        self.noise: th.Tensor | None = None

    def __call__(self, observations: Any) -> npt.NDArray[Any]:
        if self.dataset.info.normalization is not None:
            observations = self.dataset.info.normalization(observations)
        info = self.dataset.info
        normalize_images = info.policy_kwargs.get("normalize_images", True)
        device = self.dataset.labels.device
        inputs = preprocess_obs(obs_as_tensor(observations, device), info.observation_space, normalize_images)
        outputs, latent = self.learners.outputs(inputs, self.distribution.state_dependent)
        if not self.deterministic and (latent is None or self.noise is None):  # gSDE keeps its exploration matrices
            latent_dim = None if latent is None else latent.shape[1]
            self.noise = self.distribution.noise(len(outputs), self.generator, latent_dim).to(device)
        sampled = self.distribution.act(outputs, self.noise, self.dataset.log_std, latent)
        actions: npt.NDArray[Any] = to_env(sampled.cpu().numpy(), self.dataset.info.action_space, self.distribution.squashes)
        return actions


def _play(venv: VecEnv, actor: _Player, n_learners: int, n_episodes: int, progress_bar: bool) -> Returns:
    """Each environment plays the same number of episodes (short ones must not count more), the first ones one more."""
    per_learner = venv.num_envs // n_learners
    quota = np.full(per_learner, n_episodes // per_learner)
    quota[: n_episodes % per_learner] += 1
    quota = np.tile(quota, n_learners)
    returns = np.zeros((n_learners, n_episodes))
    finished = np.zeros(n_learners, dtype=int)
    running = np.zeros(venv.num_envs)
    # Where there is a monitor, it knows the true return, and where an episode ends (a lost life may only look like it).
    monitored = is_vecenv_wrapped(venv, VecMonitor) or venv.env_is_wrapped(Monitor)[0]
    observations = venv.reset()
    with tqdm(total=n_learners * n_episodes, unit="episode", disable=not progress_bar) as bar:
        while quota.any():
            actions = actor(observations)
            observations, rewards, dones, infos = venv.step(actions)
            running += rewards
            for i in np.flatnonzero(dones).tolist():
                if monitored and "episode" not in infos[i]:
                    continue
                if quota[i]:
                    learner = i // per_learner
                    returns[learner, finished[learner]] = infos[i]["episode"]["r"] if monitored else running[i]
                    finished[learner] += 1
                    quota[i] -= 1
                    bar.update()
                running[i] = 0.0
    return returns
