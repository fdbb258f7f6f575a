"""Which members an ensemble has: how they are drawn, so that a file can say it without their weights."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy

from sb3_distill.arguments import whole
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.errors import ArgumentError, UnsupportedError
from sb3_distill.evaluation.protocol import sampler_of
from sb3_distill.inner_loop.loop import InnerLoopLike
from sb3_distill.learners.component import LearnerComponent
from sb3_distill.learners.distribution import LearnerDistribution, LearnerDistributionLike
from sb3_distill.learners.policy_factory import PolicyFactory
from sb3_distill.learners.population import Learners
from sb3_distill.learners.sampler import LearnerSampler
from sb3_distill.networks.action_distribution import ActionDistribution


@dataclass(frozen=True)
class Drawing:
    """
    A draw of learners. They are the learners that ``evaluate_learners`` draws with that number and seed.

    :param whole: the dataset, whose spaces, statistics and encoder they have
    :param n_drawn: number of learners
    :param seed: seed of the draw
    :param policy: alias or class of the policy; ``None`` for the one that the dataset names
    :param policy_kwargs: arguments of the policy
    :param learner_distribution: distribution to draw from; ``None`` for the policy, initialised its own way
    :param inner_loop: another way of teaching than the dataset's
    :param source: name or path that the dataset was loaded by; ``None`` where there is none
    :raises ValueError: for fewer than one learner, or a policy that is no alias and no class
    :raises TypeError: for policies that squash what the dataset does not
    """

    whole: SyntheticDataset
    n_drawn: int
    seed: int = 0
    policy: str | type[BasePolicy] | None = None
    policy_kwargs: Mapping[str, Any] | None = None
    learner_distribution: LearnerDistributionLike | None = None
    inner_loop: InnerLoopLike | None = None
    source: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_drawn", whole("n_members", self.n_drawn))
        if isinstance(self.policy, BasePolicy):
            raise ArgumentError(
                f"members are drawn afresh, and a {type(self.policy).__name__} is one network: pass its class as `policy`, "
                "and its arguments as `policy_kwargs`"
            )
        squashed = bool(self.dataset.info.policy_kwargs.get("squash_output", False))
        for component in self.components:
            if isinstance(self.dataset.info.action_space, spaces.Box) and self.factory.squashes(component) != squashed:
                raise UnsupportedError(
                    f"the policy {self.factory.name(component)} {'does not squash' if squashed else 'squashes'} its actions "
                    "by a tanh, other than the set: members need the policy of the set, leave out `policy`"
                )

    @cached_property
    def dataset(self) -> SyntheticDataset:
        """The dataset, with the inner loop that teaches here."""
        return self.whole if self.inner_loop is None else self.whole.with_inner_loop(self.inner_loop)

    @property
    def components(self) -> tuple[LearnerComponent, ...]:
        """The parts of the mixture."""
        return LearnerDistribution.parse(self.learner_distribution).components

    @cached_property
    def sampler(self) -> LearnerSampler[PolicyFactory]:
        """The sampler of the learners."""
        return sampler_of(self.dataset, self.n_drawn, self.learner_distribution, self.policy, self.policy_kwargs)

    @property
    def factory(self) -> PolicyFactory:
        """The builder of their networks."""
        return self.sampler.factory

    @property
    def distribution(self) -> ActionDistribution:
        """How actions follow from the outputs of one member."""
        return self.factory.action_distribution(self.sampler.components[0])

    def initial(self) -> Learners:
        """All learners that are drawn, which nothing has taught yet."""
        generator = th.Generator()
        generator.manual_seed(self.seed)
        return self.sampler.sample(self.n_drawn, generator)

    def taught(self, indices: Sequence[int] | None = None) -> Learners:
        """
        :param indices: which of the learners, in ascending order; ``None`` for all
        :return: these learners, taught
        """
        with th.no_grad():
            return self.dataset.teach(self.initial() if indices is None else self.initial().take(indices))


def digests_of(learners: Learners) -> list[str]:
    """
    :param learners: initial learners
    :return: SHA-256 of each one's parameters, in their order; of nothing, where an encoder holds all layers
    """
    digests = []
    for one in learners.one_by_one():
        sha = hashlib.sha256()
        for group in one.groups:
            for name, value in sorted(group.params.items()):
                sha.update(f"{name} {tuple(value.shape)}\n".encode())
                sha.update(value.detach().cpu().contiguous().numpy().tobytes())
        digests.append(sha.hexdigest())
    return digests
