"""Many taught learners as one SB3 policy."""

import copy
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import PyTorchObs
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs

from sb3_distill.arguments import device_of, drawn_seed, whole
from sb3_distill.dataset.facts import HasFacts, facts_of
from sb3_distill.dataset.synthetic_dataset import DatasetLike, SyntheticDataset
from sb3_distill.ensemble.acting import MemberStack, act, checked_masks
from sb3_distill.ensemble.drawing import Drawing
from sb3_distill.ensemble.evaluation import Arena, best_of
from sb3_distill.ensemble.files.content import Content, read_ensemble, write_ensemble
from sb3_distill.ensemble.member import member_as_policy
from sb3_distill.ensemble.rules import AUTO, checked_rule
from sb3_distill.ensemble.uncertainty import uncertainty
from sb3_distill.environments.foreign.hand_over import EnvSource
from sb3_distill.errors import ArgumentError, NotFiniteError
from sb3_distill.inner_loop.loop import InnerLoopLike
from sb3_distill.learners.distribution import LearnerDistributionLike
from sb3_distill.learners.population import Learners
from sb3_distill.teaching.acting import Actor, as_taught
from sb3_distill.teaching.distilled_policy import DistilledPolicy
from sb3_distill.teaching.resolve_policy import check_acts
from sb3_distill.trees import length
from sb3_distill.typing import Array, Observations, RawObservations


class DistilledEnsemble(HasFacts, BasePolicy):
    """
    An SB3 policy of many members, each of which was taught the dataset; make one with ``from_dataset`` or ``load``.

    ``predict`` takes raw observations of the environment.

    :param drawing: the draw that the members are of
    :param indices: which of its learners are members, in ascending order
    :param taught: the members, taught
    :param combine: rule of combination
    """

    dataset: SyntheticDataset
    combine: str
    """The rule of combination; ``"auto"`` is resolved."""
    needs_masks = False
    """Members were taught without masks, and act without, too."""

    def __init__(self, drawing: Drawing, indices: Sequence[int], taught: Learners, combine: str = AUTO) -> None:
        dataset, self.distribution = drawing.dataset, drawing.distribution
        super().__init__(
            dataset.info.observation_space,
            dataset.info.action_space,
            normalize_images=bool(dataset.info.policy_kwargs.get("normalize_images", True)),
            squash_output=self.distribution.squashes,
        )
        self.combine = checked_rule(combine, dataset.info.action_space)
        self.dataset = dataset.requires_grad_(False)
        self.stack = MemberStack(taught, self.distribution.state_dependent)
        self.drawing, self.indices = drawing, list(indices)
        self._actor = Actor(dataset, self.distribution, self.normalize_images)
        self.set_training_mode(False)

    @classmethod
    def from_dataset(
        cls,
        dataset: DatasetLike,
        n_members: int = 25,
        policy: str | type[BasePolicy] | None = None,
        policy_kwargs: Mapping[str, Any] | None = None,
        learner_distribution: LearnerDistributionLike | None = None,
        inner_loop: InnerLoopLike | None = None,
        combine: str = AUTO,
        seed: int | None = 0,
        device: th.device | str = "auto",
    ) -> Self:
        """
        Draw members, and teach all of them at once. They are the learners that ``evaluate_learners`` draws with that number
        and that seed.

        :param dataset: a dataset, a path that ends in ``.safetensors``, or the name of a shipped set
        :param n_members: number of members
        :param policy: an alias or a class; ``None`` for the policy that the dataset names
        :param policy_kwargs: arguments of the policy
        :param learner_distribution: which members, of one shape or several; ``None`` for the policy as it initialises itself
        :param inner_loop: another way of teaching than the dataset's, see ``SyntheticDataset.with_inner_loop``
        :param combine: rule of combination. For actions that are choices: ``"logits"``, the softmax of the mean of the
            logits; ``"probs"``, the mean of the probabilities; ``"vote"``, the shares of the members' greedy actions; and
            ``"vote-sampled"``: every member samples, and the majority decides (greedy: the highest mean probability). For
            ``Box`` actions: ``"mean"`` or ``"median"`` of the members' means. ``"auto"`` is ``"mean"`` for a ``Box`` and
            ``"vote-sampled"`` for all others. Several choices at once are combined one by one
        :param seed: seed of the members; ``None`` draws one from PyTorch's global generator, see ``drawing.seed``
        :param device: device of the members
        :return: the ensemble, in evaluation mode
        :raises FileNotFoundError: if there is no such dataset
        :raises DatasetError: if the dataset cannot be loaded, or does not fit the policy
        :raises ValueError: if ``n_members`` is below 1, or the rule is unknown or does not fit the actions
        :raises TypeError: for a policy that cannot be taught, or squashes what the dataset does not
        """
        source = str(dataset) if isinstance(dataset, (str, os.PathLike)) else None
        # A copy, since a dataset that is still being learned changes.
        taught = copy.deepcopy(SyntheticDataset.of(dataset)).to(device_of(device))
        check_acts(taught)
        checked_rule(combine, taught.info.action_space)
        seed = drawn_seed(seed)
        drawing = Drawing(taught, n_members, seed, policy, policy_kwargs, learner_distribution, inner_loop, source)
        return cls(drawing, range(drawing.n_drawn), drawing.taught(), combine)

    @property
    def members(self) -> Learners:
        """The members, taught, group by group of equal shape."""
        return self.stack.learners

    @property
    def n_members(self) -> int:
        """Number of members."""
        return len(self.indices)

    def facts(self) -> dict[str, object]:
        """What is to be known of the ensemble and the dataset that its members were taught, by name."""
        facts = facts_of(self.dataset.info, self.dataset.n_instances)
        n_parameters = sum(value.numel() for value in self.stack.parameters())
        return {**facts, "members": self.n_members, "rule": self.combine, "parameters": n_parameters}

    def predict(
        self,
        observation: RawObservations | VecEnvObs,
        state: tuple[Array, ...] | None = None,
        episode_start: Array | None = None,
        deterministic: bool = False,
        action_masks: Array | None = None,
    ) -> tuple[Array, tuple[Array, ...] | None]:
        """
        As SB3's ``predict``, on raw observations of the environment, one or a batch of them. Samples come from PyTorch's
        global generator, as those of SB3's policies do.

        :param action_masks: actions that are allowed ``(b, n_choices)``, as ``MaskablePPO`` takes them: each member chooses
            among these
        :raises ValueError: if the observation has another shape than the dataset was made for, or the masks another one, or
            actions are no choices
        :raises FloatingPointError: if it has NaN in it
        """
        observations = as_taught(self.dataset, cast(RawObservations, observation), self.observation_space)
        if action_masks is None:
            return super().predict(observations, state, episode_start, deterministic)  # type: ignore[arg-type]
        tensors, is_batch = self.obs_to_tensor(observations)  # type: ignore[arg-type]
        masks = checked_masks(action_masks, self.action_space, length(tensors), self.device)
        with th.no_grad():
            actions = self._actor.to_env(self._act(tensors, deterministic, masks).cpu().numpy())
        return actions if is_batch else actions.squeeze(0), state

    @property
    def takes_masks(self) -> bool:
        """Whether ``predict`` takes ``action_masks``: where actions are choices."""
        return not isinstance(self.action_space, spaces.Box)

    def uncertainty(self, observation: RawObservations | VecEnvObs) -> dict[str, Array]:
        """
        How little the members agree.

        :param observation: raw observations, one or a batch of them ``(b, *obs)``
        :return: an array ``(b,)``, or a number for a single observation, by name. For actions that are choices:
            ``"disagreement"``, the share of the pairs of members whose greedy actions differ (the mean over choices), and
            ``"mutual_information"`` of action and member, in nats (the sum over choices). For a ``Box``: ``"variance_ratio"``,
            the variance of the members' means over the variance of one policy (the mean over dimensions)
        :raises ValueError: if the observation has another shape than the dataset was made for
        :raises FloatingPointError: if the observation, or what a member makes of it, is NaN or infinite
        """
        raw = as_taught(self.dataset, cast(RawObservations, observation), self.observation_space)
        observations, is_batch = self.obs_to_tensor(raw)  # type: ignore[arg-type]
        with th.no_grad():
            seen = self._see(observations)
            if not seen[0].isfinite().all():
                raise NotFiniteError("members return NaN or infinite numbers for this observation")
            figures = uncertainty(self.distribution, seen, self.dataset.log_std)
        return {name: np.asarray((value if is_batch else value[0]).cpu().numpy()) for name, value in figures.items()}

    def select(
        self,
        n: int,
        env: EnvSource | None = None,
        n_episodes: int = 20,
        seed: int | None = 0,
        deterministic: bool = True,
        max_envs: int | None = None,
        allow_imports: Collection[str] = (),
    ) -> "DistilledEnsemble":
        """
        Let all members play, and keep the best ones. Their returns on these episodes overstate them: evaluate what is returned
        on others.

        :param n: number of members to keep
        :param env: the environment, see ``evaluate_learners``; ``None`` for the dataset's
        :param n_episodes: number of episodes of each member
        :param seed: seed of environments and actions; ``None`` draws one
        :param deterministic: whether members take greedy actions
        :param max_envs: see ``evaluate_learners``
        :param allow_imports: see ``make_vec_env``
        :return: the ensemble of the ``n`` members with the highest mean returns
        :raises ValueError: if there are no ``n`` members, or ``n_episodes`` is below 1
        """
        n = whole("n", n, high=self.n_members, what="the number of members")
        n_episodes, seed = whole("n_episodes", n_episodes), drawn_seed(seed, 2**31)  # environments take no larger ones
        arena = Arena(self.dataset, self.distribution, env, max_envs, allow_imports)
        try:
            chosen = best_of(arena.members(self.members, n_episodes, deterministic, seed), n)
        finally:
            arena.close()
        return self.take(chosen)

    def take(self, chosen: Sequence[int]) -> "DistilledEnsemble":
        """
        :param chosen: indices of members, in ascending order
        :return: the ensemble of these members
        :raises ValueError: if one is not that of a member, or they are none, or not in order
        """
        members = list(chosen) if isinstance(chosen, Iterable) else []
        are_whole = bool(members) and all(isinstance(index, (int, np.integer)) for index in members)
        if not are_whole or members != sorted(set(members)) or not 0 <= members[0] <= members[-1] < self.n_members:
            raise ArgumentError(f"`chosen` must be different indices from 0 to {self.n_members - 1} in order, got {chosen}")
        indices = [self.indices[index] for index in members]
        return type(self)(self.drawing, indices, self.members.take([int(index) for index in members]), self.combine)

    def member(self, i: int) -> DistilledPolicy:
        """
        :param i: index of a member
        :return: an SB3 policy that acts as this member does; its critic is a fresh one
        :raises ValueError: if there is no such member, or ``i`` is no whole number
        """
        i = whole("i", i, 0, self.n_members - 1)
        components = self.drawing.sampler.components
        origins = self.drawing.initial().components if len(components) > 1 else []
        component = components[origins[self.indices[i]] if origins else 0]
        return member_as_policy(self.drawing, self.members.take([i]), component)

    def save(self, path: str | os.PathLike[str], weights: bool = False) -> None:
        """
        Write a safetensors file (no pickle) that says which set, seed, members and rule these are. It does not hold the set.

        :param path: path of the file, ``*.safetensors``
        :param weights: whether the members' parameters are written too, so that they need not be drawn and taught again
        :raises ValueError: for another ending, or members of classes that a file cannot name
        :raises OSError: if the file cannot be written
        """
        write_ensemble(Path(path), Content(self.drawing, self.indices, self.members, self.combine), weights)

    @classmethod
    def load(  # type: ignore[override]
        cls, path: str | os.PathLike[str], dataset: DatasetLike | None = None, device: th.device | str = "auto"
    ) -> "DistilledEnsemble":
        """
        Draw and teach the members again, and compare them with the file.

        :param path: path of a file of ``save``
        :param dataset: the set; ``None`` for the shipped one that the file names, or the file of that name in the same folder
        :param device: device of the members
        :return: the ensemble
        :raises FileNotFoundError: if there is no such file
        :raises DatasetError: if the file is damaged, the set has another hash, or a member is another one here than it was
            where the file was written (another version of PyTorch may draw other numbers)
        :raises ValueError: if the file names no set that is found, and ``dataset`` is ``None``
        """
        return cls(*read_ensemble(Path(path), dataset, device_of(device)))

    def export(self, path: str | os.PathLike[str]) -> list[Path]:
        """
        Write the deterministic action as a program, see ``DistilledPolicy.export``. All members are inside.

        :param path: path of the program: ``*.onnx``, ``*.pt2``, or without ending for both
        :return: paths of the files
        :raises ImportError: for ONNX, without the packages of the extra ``export``
        :raises ValueError: for another ending
        """
        from sb3_distill.teaching.export import export  # which imports parts of torch that take a second

        return export(self, path)

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> th.Tensor:
        return self._act(observation, deterministic)

    def _act(self, observation: Observations, deterministic: bool, masks: th.Tensor | None = None) -> th.Tensor:
        generator = None if deterministic else th.default_generator
        return act(self.combine, self.distribution, self._see(observation), self.dataset.log_std, generator, masks)

    def _see(self, observation: Observations) -> tuple[th.Tensor, th.Tensor | None]:
        seen: tuple[th.Tensor, th.Tensor | None] = self.stack(self._actor.preprocess(observation))
        return seen
