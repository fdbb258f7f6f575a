"""The k-shot protocol of Table 1: teach fresh learners, let each play a number of episodes."""

import copy
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, overload

import torch as th
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.utils import get_device
from stable_baselines3.common.vec_env import VecEnv
from tqdm.auto import tqdm

from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.dataset.wrapper_records import atari_options
from sb3_distill.environments.make import as_vec_env, make_vec_env
from sb3_distill.environments.plugins import is_cheap
from sb3_distill.errors import ArgumentError
from sb3_distill.evaluation.grids import load_grid
from sb3_distill.evaluation.play import _play, _Player
from sb3_distill.evaluation.result import Evaluation
from sb3_distill.learners.distribution import LearnerDistribution
from sb3_distill.learners.population import Learners
from sb3_distill.teaching.resolve_policy import resolve_policy

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
        raise ArgumentError(f"`n_learners` and `n_episodes` must be at least 1, got {n_learners} and {n_episodes}")
    try:
        device = get_device(device)
    except RuntimeError as error:
        raise ArgumentError(f"`device` must be cpu, cuda, auto or another one of PyTorch's, got {device!r}") from error
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
        raise ArgumentError(f"`env` must be a function from a number of environments to a VecEnv, got {env!r}")
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
            actions = sampler.factory.action_distribution(distribution.components[0])
            actor = _Player(dataset, learners, actions, generator, deterministic)
            returns = _play(venv, actor, n_learners, n_episodes, progress_bar)
    finally:
        venv.close()
    return Evaluation(returns, deterministic, dataset.info.inner_loop if teach is True else None)


def _make_true_env(dataset: SyntheticDataset, n_envs: int) -> VecEnv:
    """The dataset's own environment; scores of Atari games are not clipped, and of whole games."""
    is_atari = atari_options(dataset.info.wrappers) is not None
    true = {"clip_reward": False, "terminal_on_life_loss": False} if is_atari else None
    return make_vec_env(dataset, n_envs, vec_env_kwargs=true)
