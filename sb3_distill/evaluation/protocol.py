"""The k-shot protocol of Table 1: teach fresh learners, let each play a number of episodes."""

import copy
import numbers
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TypeAlias, overload

import torch as th
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import VecEnv
from tqdm.auto import tqdm

from sb3_distill.arguments import device_of, drawn_seed
from sb3_distill.dataset.recorded_arguments import refused_by_environment
from sb3_distill.dataset.synthetic_dataset import DatasetLike, SyntheticDataset
from sb3_distill.dataset.wrapper_records import atari_options
from sb3_distill.environments.foreign.hand_over import EnvSource, HandedOver, environments_from, may_be_many
from sb3_distill.environments.foreign.masks import masks_for_learners
from sb3_distill.environments.make import as_vec_env, make_vec_env
from sb3_distill.environments.plugins import is_cheap, recorded_env_id
from sb3_distill.environments.vec_normalize import raw_observations
from sb3_distill.errors import ArgumentError
from sb3_distill.evaluation.grids import Grid, load_grid
from sb3_distill.evaluation.play import ActingLearners, play_episodes, play_in_turn
from sb3_distill.evaluation.result import Evaluation
from sb3_distill.inner_loop.loop import InnerLoopLike
from sb3_distill.learners.distribution import LearnerDistribution, LearnerDistributionLike
from sb3_distill.learners.policy_factory import PolicyFactory
from sb3_distill.learners.population import Learners
from sb3_distill.learners.sampler import LearnerSampler
from sb3_distill.teaching.acting import Actor
from sb3_distill.teaching.resolve_policy import resolve_policy

Teaching: TypeAlias = bool | Callable[[Learners], Learners]
"""Whether the dataset teaches the learners, or a function from initial learners to taught ones."""
MAX_ENVS, MAX_SIMULATORS = 10_000, 128
"""Largest numbers of environments, unless the caller says another."""


@overload
def evaluate_learners(
    dataset: DatasetLike,
    n_learners: int = 100,
    n_episodes: int = 100,
    deterministic: bool = False,
    learner_distribution: LearnerDistributionLike | None = None,
    env: EnvSource | None = None,
    teach: Teaching = True,
    max_envs: int | None = None,
    seed: int | None = 0,
    progress_bar: bool = False,
    policy: str | type[BasePolicy] | None = None,
    policy_kwargs: Mapping[str, object] | None = None,
    grid: None = None,
    device: th.device | str = "cpu",
    allow_imports: Collection[str] = (),
    inner_loop: InnerLoopLike | None = None,
) -> Evaluation: ...


@overload
def evaluate_learners(
    dataset: DatasetLike,
    n_learners: int = 100,
    n_episodes: int = 100,
    deterministic: bool = False,
    learner_distribution: LearnerDistributionLike | None = None,
    env: EnvSource | None = None,
    teach: Teaching = True,
    max_envs: int | None = None,
    seed: int | None = 0,
    progress_bar: bool = False,
    policy: str | type[BasePolicy] | None = None,
    policy_kwargs: Mapping[str, object] | None = None,
    *,
    grid: Grid,
    device: th.device | str = "cpu",
    allow_imports: Collection[str] = (),
    inner_loop: InnerLoopLike | None = None,
) -> dict[str, Evaluation]: ...


def evaluate_learners(
    dataset: DatasetLike,
    n_learners: int = 100,
    n_episodes: int = 100,
    deterministic: bool = False,
    learner_distribution: LearnerDistributionLike | None = None,
    env: EnvSource | None = None,
    teach: Teaching = True,
    max_envs: int | None = None,
    seed: int | None = 0,
    progress_bar: bool = False,
    policy: str | type[BasePolicy] | None = None,
    policy_kwargs: Mapping[str, object] | None = None,
    grid: Grid | None = None,
    device: th.device | str = "cpu",
    allow_imports: Collection[str] = (),
    inner_loop: InnerLoopLike | None = None,
) -> Evaluation | dict[str, Evaluation]:
    """
    Draw learners, teach each the dataset, and let each play: the protocol of Table 1 of Wilhelm & Ventura (2025).

    All learners play at once, each in its own share of the environments. Where environments have a method ``action_masks``,
    learners take allowed actions only, as a ``MaskablePPO`` does.

    :param dataset: a dataset, a path, or the name of a shipped set
    :param n_learners: number of fresh learners
    :param n_episodes: number of episodes of each
    :param deterministic: whether the most likely action is taken instead of a sampled one
    :param learner_distribution: distribution to draw from; ``None`` for the policy, initialised its own way
    :param env: the environment: an id, an instance, a class, a function (of a number of environments, which makes a
        ``VecEnv``, or of nothing, which makes one environment), a ``VecEnv``, or what ``gym.make_vec`` returns; ``None``
        for the dataset's. In environments whose number is settled and cannot be shared out, one learner plays after the
        other. What a ``VecNormalize`` in it does is switched off meanwhile, since the dataset brings its statistics
    :param teach: ``False`` leaves the learners untaught, for comparison; a function from initial learners to taught ones is
        another way of teaching
    :param max_envs: largest number of environments; ``None``: 10,000, for simulators 128 (at least one per learner)
    :param seed: seed of learners, actions and environments
    :param progress_bar: whether a bar is shown
    :param policy: alias or class of the policy; ``None`` for the one that the dataset names
    :param policy_kwargs: arguments of the policy
    :param grid: learner distributions by name, each of which is evaluated instead of ``learner_distribution``, see
        ``evaluate_grid``
    :param device: device of the learners; ``"auto"`` or ``"cuda"`` for a GPU if there is one: faster where they have
        convolutions, not where they are small
    :param allow_imports: see ``make_vec_env``
    :param inner_loop: another way of teaching than the dataset's, see ``SyntheticDataset.with_inner_loop``
    :return: returns per learner and episode; with a ``grid`` one evaluation for each cell, by name
    :raises DatasetError: if the environment's spaces are not those of the dataset
    :raises ValueError: if ``n_learners`` or ``n_episodes`` is below 1, ``env`` is none of these, or there is no such device
    """
    if grid is not None:
        return evaluate_grid(
            dataset, grid, n_learners, n_episodes, deterministic, env, teach, max_envs, seed, progress_bar, policy,
            policy_kwargs, device, allow_imports, inner_loop,
        )  # fmt: skip
    _check_counts(n_learners, n_episodes)
    n_learners, n_episodes = int(n_learners), int(n_episodes)  # NumPy's too
    dataset = copy_on(device, dataset, inner_loop)
    generator = th.Generator()
    generator.manual_seed(drawn_seed(seed))
    sampler = sampler_of(dataset, n_learners, learner_distribution, policy, policy_kwargs)
    venv, is_ours = make_environments(dataset, env, n_learners, n_episodes, max_envs, allow_imports)
    try:
        dataset.check_spaces(venv.observation_space, venv.action_space)
        venv.seed(None if seed is None else int(seed))
        learners = sampler.sample(n_learners, generator)
        if callable(teach):  # with gradients, should it want some
            learners = teach(learners)
        with th.no_grad():
            if teach is True:
                learners = dataset.teach(learners)
            normalize_images = bool(dataset.info.policy_kwargs.get("normalize_images", True))
            actor = Actor(dataset, sampler.factory.action_distribution(sampler.components[0]), normalize_images)
            masks = masks_for_learners(venv)
            with raw_observations(venv):  # learners normalise by themselves, with the statistics of the dataset
                if venv.num_envs % n_learners == 0:
                    act = ActingLearners(actor, learners, generator, deterministic, masks)
                    returns = play_episodes(venv, act, n_learners, n_episodes, progress_bar)
                else:
                    ones = learners.one_by_one()
                    acts = [ActingLearners(actor, one, generator, deterministic, masks) for one in ones]
                    returns = play_in_turn(venv, acts, n_episodes, progress_bar)
    finally:
        if is_ours:
            venv.close()
    return Evaluation(returns, deterministic, dataset.info.inner_loop if teach is True else None)


def evaluate_grid(
    dataset: DatasetLike,
    grid: Grid,
    n_learners: int = 100,
    n_episodes: int = 100,
    deterministic: bool = False,
    env: EnvSource | None = None,
    teach: Teaching = True,
    max_envs: int | None = None,
    seed: int | None = 0,
    progress_bar: bool = False,
    policy: str | type[BasePolicy] | None = None,
    policy_kwargs: Mapping[str, object] | None = None,
    device: th.device | str = "cpu",
    allow_imports: Collection[str] = (),
    inner_loop: InnerLoopLike | None = None,
) -> dict[str, Evaluation]:
    """
    ``evaluate_learners`` on each cell of a grid of learner distributions; the other parameters are those of that function.

    :param dataset: a dataset, a path, or the name of a shipped set
    :param grid: learner distributions by name, or the name or the path of a grid, see ``grids.load_grid``
    :return: one evaluation for each cell, by name
    :raises ValueError: for a grid or a cell that cannot be used, before the first cell is evaluated; and see
        ``evaluate_learners``
    """
    _check_counts(n_learners, n_episodes)
    dataset = copy_on(device, dataset, inner_loop)
    return {
        name: evaluate_learners(
            dataset, n_learners, n_episodes, deterministic, cell, env, teach, max_envs, seed,
            policy=policy, policy_kwargs=policy_kwargs, device=device, allow_imports=allow_imports,
        )
        for name, cell in tqdm(load_grid(grid).items(), unit="cell", disable=not progress_bar)
    }  # fmt: skip


def _check_counts(n_learners: int, n_episodes: int) -> None:
    whole = all(isinstance(number, numbers.Integral) for number in (n_learners, n_episodes))
    if not whole or n_learners < 1 or n_episodes < 1:
        raise ArgumentError(f"`n_learners` and `n_episodes` must be at least 1 and whole, got {n_learners} and {n_episodes}")


def copy_on(device: th.device | str, dataset: DatasetLike, inner_loop: InnerLoopLike | None) -> SyntheticDataset:
    """
    :param device: device of the copy
    :param dataset: a dataset, a path, or the name of a shipped set
    :param inner_loop: another way of teaching; ``None`` for the dataset's
    :return: a copy, since a dataset that is still being learned changes
    :raises ValueError: if there is no such device
    """
    dataset = copy.deepcopy(dataset) if isinstance(dataset, SyntheticDataset) else SyntheticDataset.load(dataset)
    dataset = dataset if inner_loop is None else dataset.with_inner_loop(inner_loop)
    return dataset.to(device_of(device))


def sampler_of(
    dataset: SyntheticDataset,
    n_learners: int,
    learner_distribution: LearnerDistributionLike | None,
    policy: str | type[BasePolicy] | None,
    policy_kwargs: Mapping[str, object] | None,
) -> LearnerSampler[PolicyFactory]:
    """
    :param dataset: names the spaces, and holds the statistics and the encoder that learners share
    :param n_learners: number of learners of a draw, each of which may have a shape of its own
    :param learner_distribution: distribution to draw from; ``None`` for the policy, initialised its own way
    :param policy: alias or class of the policy; ``None`` for the one that the dataset names
    :param policy_kwargs: arguments of the policy
    :return: a sampler of learners for the dataset
    """
    policy_class, policy_kwargs = resolve_policy(dataset, policy, policy_kwargs)
    # Every learner may be of another shape; the bound is for training.
    distribution = replace(LearnerDistribution.parse(learner_distribution), n_shapes=n_learners)
    return distribution.bind(
        policy_class,
        policy_kwargs,
        dataset.info.observation_space,
        dataset.info.action_space,
        dataset.labels.device,
        dataset.statistics,
        dataset.encoder,
    )


def make_environments(
    dataset: SyntheticDataset,
    env: EnvSource | None,
    n_learners: int,
    n_episodes: int,
    max_envs: int | None,
    allow_imports: Collection[str],
) -> HandedOver:
    """
    As many environments for each learner as it plays episodes, unless that would be too many.

    :param dataset: names the environment
    :param env: another one, see ``evaluate_learners``, as for the parameters that follow
    :return: the environments, and whether the caller shall close them
    """
    if max_envs is None:
        recorded = None if env is not None or dataset.info.env_id is None else recorded_env_id(dataset.info, allow_imports)
        is_many = may_be_many(env) if env is not None else recorded is not None and is_cheap(recorded)
        max_envs = MAX_ENVS if is_many else MAX_SIMULATORS
    n_envs = n_learners * max(1, min(n_episodes, max_envs // n_learners))
    if env is None:
        return HandedOver(as_vec_env(_make_true_env(dataset, n_envs, allow_imports)), True)
    return environments_from(env, n_envs)


def _make_true_env(dataset: SyntheticDataset, n_envs: int, allow_imports: Collection[str] = ()) -> VecEnv:
    """The dataset's environment; scores of Atari games are those of whole games, and not clipped."""
    is_atari = atari_options(dataset.info.wrappers) is not None
    unclipped = {"clip_reward": False, "terminal_on_life_loss": False} if is_atari else None
    with refused_by_environment(dataset.info):
        return make_vec_env(dataset, n_envs, vec_env_kwargs=unclipped, allow_imports=allow_imports)
