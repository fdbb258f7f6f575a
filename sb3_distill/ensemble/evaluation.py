"""Whether an ensemble is better than the best member, which is chosen on other episodes."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch as th
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import VecEnv
from tqdm.auto import tqdm

from sb3_distill.arguments import drawn_seed, whole
from sb3_distill.dataset.synthetic_dataset import DatasetLike, SyntheticDataset
from sb3_distill.ensemble.acting import ActingEnsemble, MemberStack
from sb3_distill.ensemble.drawing import Drawing
from sb3_distill.ensemble.result import ARBITRARY, ELITE, Contest, EnsembleEvaluation
from sb3_distill.ensemble.rules import AUTO, checked_rule, default_rule
from sb3_distill.environments.foreign.hand_over import EnvSource
from sb3_distill.environments.foreign.masks import masks_for_learners
from sb3_distill.environments.vec_normalize import raw_observations
from sb3_distill.errors import ArgumentError
from sb3_distill.evaluation.play import ActingLearners, play_episodes, play_in_turn
from sb3_distill.evaluation.protocol import copy_on, make_environments
from sb3_distill.evaluation.result import Returns
from sb3_distill.inner_loop.loop import InnerLoopLike
from sb3_distill.learners.distribution import LearnerDistributionLike
from sb3_distill.learners.population import Learners
from sb3_distill.networks.action_distribution import ActionDistribution
from sb3_distill.teaching.acting import Actor

SIZES = (1, 5, 25, 100)
"""Sizes of ensembles, as far as there are so many members."""
GREEDY, SAMPLED = "greedy", "sampled"


@dataclass
class Arena:
    """
    Where members and ensembles of one dataset play. Environments are made once for each number of them.

    :param dataset: what the members were taught
    :param distribution: how actions follow from the outputs of one member
    :param env: see ``evaluate_learners``, as for the parameters that follow
    """

    dataset: SyntheticDataset
    distribution: ActionDistribution
    env: EnvSource | None = None
    max_envs: int | None = None
    allow_imports: Collection[str] = ()
    _made: dict[tuple[int, int], tuple[VecEnv, bool]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.actor = Actor(
            self.dataset, self.distribution, bool(self.dataset.info.policy_kwargs.get("normalize_images", True))
        )

    def open(self, n_players: int, n_episodes: int) -> VecEnv:
        """
        :param n_players: number of members or ensembles that play at once
        :param n_episodes: number of episodes of each
        :return: their environments, made when they are first asked for
        :raises DatasetError: if their spaces are not those of the dataset
        :raises ValueError: if there is no environment
        """
        key = (n_players, n_episodes)
        if key not in self._made:
            made = make_environments(self.dataset, self.env, n_players, n_episodes, self.max_envs, self.allow_imports)
            self._made[key] = made
            self.dataset.check_spaces(made[0].observation_space, made[0].action_space)
        return self._made[key][0]

    def members(
        self, learners: Learners, n_episodes: int, deterministic: bool, seed: int, progress_bar: bool = False
    ) -> Returns:
        """
        :param learners: M taught learners, which all play at once
        :param n_episodes: number of episodes of each
        :param deterministic: whether the most likely action is taken
        :param seed: seed of environments and actions
        :return: return of each episode ``(M, n_episodes)``
        """
        with self._environments(learners.n_learners, n_episodes, seed) as venv, th.no_grad():
            generator, masks = generator_of(seed), masks_for_learners(venv)
            if venv.num_envs % learners.n_learners == 0:
                act = ActingLearners(self.actor, learners, generator, deterministic, masks)
                return play_episodes(venv, act, learners.n_learners, n_episodes, progress_bar)
            ones = [ActingLearners(self.actor, one, generator, deterministic, masks) for one in learners.one_by_one()]
            return play_in_turn(venv, ones, n_episodes, progress_bar)

    def ensemble(self, stack: MemberStack, rule: str, n_episodes: int, deterministic: bool, seed: int) -> Returns:
        """
        :param stack: the members
        :param rule: a key of ``rules.RULES`` that fits the actions
        :param n_episodes: number of episodes
        :param deterministic: whether the most likely action is taken
        :param seed: seed of environments and actions
        :return: return of each episode ``(n_episodes,)``; equal seeds start in equal states
        """
        with self._environments(1, n_episodes, seed) as venv, th.no_grad():
            generator = None if deterministic else generator_of(seed)
            act = ActingEnsemble(self.actor, stack, rule, generator, masks_for_learners(venv))
            returns: Returns = play_episodes(venv, act, 1, n_episodes)[0]
            return returns

    def close(self) -> None:
        """Close the environments that were made here."""
        for venv, is_ours in self._made.values():
            if is_ours:
                venv.close()
        self._made.clear()

    @contextmanager
    def _environments(self, n_players: int, n_episodes: int, seed: int) -> Iterator[VecEnv]:
        venv = self.open(n_players, n_episodes)
        venv.seed(seed)
        with raw_observations(venv):  # members normalise by themselves, with the statistics of the dataset
            yield venv


def generator_of(seed: int) -> th.Generator:
    """A generator on the CPU with that seed."""
    generator = th.Generator()
    generator.manual_seed(seed)
    return generator


def best_of(returns: Returns, n: int) -> list[int]:
    """
    :param returns: return of each episode ``(M, n_episodes)``
    :param n: number of members
    :return: indices of those with the highest means, in ascending order
    """
    ranked = np.argsort(-returns.mean(axis=1), kind="stable")
    return sorted(int(index) for index in ranked[:n])


def evaluate_ensemble(
    dataset: DatasetLike,
    n_members: int = 100,
    sizes: Sequence[int] | None = None,
    rules: Sequence[str] = (AUTO,),
    n_select: int = 20,
    n_episodes: int = 100,
    n_draws: int = 10,
    env: EnvSource | None = None,
    learner_distribution: LearnerDistributionLike | None = None,
    inner_loop: InnerLoopLike | None = None,
    seed: int | None = 0,
    progress_bar: bool = False,
    deterministic: bool | None = None,
    policy: str | type[BasePolicy] | None = None,
    policy_kwargs: Mapping[str, object] | None = None,
    max_envs: int | None = None,
    device: th.device | str = "cpu",
    allow_imports: Collection[str] = (),
    name: str | None = None,
) -> EnsembleEvaluation:
    """
    Compare ensembles with the best member. In each draw, all members play selection episodes. The best member, elite
    ensembles of the best ones, and ensembles of arbitrary members then play test episodes, which have other seeds and are the
    same for all of them. A member that is chosen and tested on the same episodes would be overstated.

    :param dataset: a dataset, a path, or the name of a shipped set
    :param n_members: number of members of each draw
    :param sizes: sizes of the ensembles; ``None`` for those of 1, 5, 25 and 100 that are possible
    :param rules: rules to try, see ``DistilledEnsemble.from_dataset``
    :param n_select: number of selection episodes of each member
    :param n_episodes: number of test episodes
    :param n_draws: number of draws of members; draw ``d`` has the seed ``seed + d``
    :param env: the environment, see ``evaluate_learners``; ``None`` for the dataset's
    :param learner_distribution: which members; ``None`` for the policy, initialised its own way
    :param inner_loop: another way of teaching than the dataset's
    :param seed: seed of members, actions, environments and bootstraps; ``None`` draws one
    :param progress_bar: whether a bar is shown
    :param deterministic: whether only greedy actions are tried, or only sampled ones; ``None`` for both
    :param policy: alias or class of the policy; ``None`` for the one that the dataset names
    :param policy_kwargs: arguments of the policy
    :param max_envs: largest number of environments; ``None``: 10,000, for simulators 128 (at least one per member)
    :param device: device of the members
    :param allow_imports: see ``make_vec_env``
    :param name: name of the set in tables; ``None`` for the one it was loaded by, or its task
    :return: all returns, with means, gains and intervals
    :raises DatasetError: if the environment's spaces are not those of the dataset
    :raises ValueError: for a number below 1, a size above ``n_members``, or a rule that does not fit the actions
    :raises TypeError: for a policy that squashes what the dataset does not
    """
    name = name or (str(dataset) if isinstance(dataset, (str, os.PathLike)) else None)
    dataset = copy_on(device, dataset, inner_loop)
    n_members = whole("n_members", n_members)
    sizes = _checked_sizes(sizes, n_members)
    n_select, n_episodes, n_draws = (
        whole(label, n) for label, n in (("n_select", n_select), ("n_episodes", n_episodes), ("n_draws", n_draws))
    )
    seed = drawn_seed(seed)
    rules = list(dict.fromkeys(checked_rule(rule, dataset.info.action_space) for rule in rules))
    if not rules:
        raise ArgumentError(f"`rules` must have at least one rule, such as {AUTO!r}")
    kinds = [GREEDY, SAMPLED] if deterministic is None else [GREEDY if deterministic else SAMPLED]
    drawings = [
        Drawing(dataset, n_members, seed + draw, policy, policy_kwargs, learner_distribution) for draw in range(n_draws)
    ]
    contests = [
        Contest(kind, choice, rule, size)
        for kind in kinds
        for rule in rules
        for choice in (ARBITRARY, ELITE)
        for size in sizes
        if choice == ARBITRARY or 1 < size < n_members
    ]
    arena = Arena(dataset, drawings[0].distribution, env, max_envs, allow_imports)
    parts = []
    try:
        arena.open(n_members, n_select)  # what is wrong with the environment is said before a bar is shown
        with tqdm(total=n_draws * len(kinds) * 2 + n_draws * len(contests), unit="play", disable=not progress_bar) as bar:
            for drawing in drawings:
                parts.append(_play_draw(arena, drawing, kinds, contests, n_select, n_episodes, bar))
    finally:
        arena.close()
    return EnsembleEvaluation(
        name or dataset.info.env_id or "dataset",
        dataset.info.inner_loop,
        {kind: np.stack([selection[kind] for selection, _, _ in parts]) for kind in kinds},
        {kind: np.stack([best[kind] for _, best, _ in parts]) for kind in kinds},
        {contest: np.stack([played[contest] for _, _, played in parts]) for contest in contests},
        seed,
    )


def _play_draw(
    arena: Arena,
    drawing: Drawing,
    kinds: Sequence[str],
    contests: Sequence[Contest],
    n_select: int,
    n_episodes: int,
    bar: "tqdm[object]",
) -> tuple[dict[str, Returns], dict[str, Returns], dict[Contest, Returns]]:
    """Returns of the members on the selection episodes, of the best member and of the ensembles on the test episodes."""
    seeds = np.random.SeedSequence(drawing.seed % 2**64).generate_state(2) >> 1
    select_seed, test_seed = (int(number) for number in seeds)
    learners = drawing.taught()
    rule_of_one = default_rule(arena.dataset.info.action_space)
    selection: dict[str, Returns] = {}
    best: dict[str, Returns] = {}
    played: dict[Contest, Returns] = {}

    def play(members: Sequence[int], rule: str, kind: str) -> Returns:
        stack = MemberStack(learners.take(members), arena.distribution.state_dependent)
        bar.update()
        return arena.ensemble(stack, rule, n_episodes, kind == GREEDY, test_seed)

    for kind in kinds:
        selection[kind] = arena.members(learners, n_select, kind == GREEDY, select_seed)
        bar.update()
        best[kind] = play(best_of(selection[kind], 1), rule_of_one, kind)
    alone: dict[str, Returns] = {}
    for contest in contests:
        kind, choice, rule, size = contest
        if size == 1:  # one member acts as itself, whatever the rule
            if kind not in alone:
                alone[kind] = play([0], rule_of_one, kind)
            played[contest] = alone[kind]
            continue
        members = best_of(selection[kind], size) if choice == ELITE else range(size)
        played[contest] = play(members, rule, kind)
    return selection, best, played


def _checked_sizes(sizes: Sequence[int] | None, n_members: int) -> list[int]:
    if sizes is None:
        return [size for size in SIZES if size < n_members] + [n_members]
    if not sizes or min(sizes) < 1 or max(sizes) > n_members:
        raise ArgumentError(f"`sizes` must be from 1 to {n_members}, the number of members, got {list(sizes)}")
    return sorted(set(sizes))
