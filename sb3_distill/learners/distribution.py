"""The learner distribution: which networks, with which initial parameters, a dataset is made to teach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TypeAlias, TypeVar, cast

import torch as th
from stable_baselines3.common.policies import BasePolicy

from sb3_distill.errors import ArgumentError
from sb3_distill.learners.component import LearnerComponent
from sb3_distill.learners.factory import NetworkFactory
from sb3_distill.learners.named import NAMED
from sb3_distill.learners.policy_factory import PolicyFactory
from sb3_distill.learners.sampler import LearnerSampler
from sb3_distill.networks.encoder import Encoder
from sb3_distill.typing import Json, Kwargs, Space

Factory = TypeVar("Factory", bound=NetworkFactory)


@dataclass(frozen=True)
class LearnerDistribution:
    """
    The learner distribution (``Lambda`` of the paper): which networks a dataset is made to teach.

    :param components: the parts of the mixture; by default the policy of the model, as it initialises itself
    :param n_shapes: largest number of different shapes in one draw, which bounds the cost of an iteration
    :raises ValueError: if there is no component, or no shape
    """

    components: tuple[LearnerComponent, ...] = field(default_factory=lambda: (LearnerComponent(),))
    n_shapes: int = 4

    def __post_init__(self) -> None:
        if not self.components or self.n_shapes < 1:
            raise ArgumentError("a `LearnerDistribution` needs at least one component and one shape")

    @classmethod
    def parse(cls, value: "LearnerDistributionLike | None") -> "LearnerDistribution":
        """
        :param value: a distribution, ``None`` (the policy of the model), a name (one of ``NAMED``), or a component or list
            of components as dicts (the form that YAML can say)
        :return: the distribution that it describes
        :raises ValueError: for anything else
        """
        if isinstance(value, cls):
            return value
        if value is None:
            return cls()
        if isinstance(value, str):
            if value not in NAMED:
                raise ArgumentError(f"unknown `learner_distribution` {value!r}; known are {', '.join(NAMED)}")
            value = NAMED[value]
        parts = [value] if isinstance(value, (Mapping, LearnerComponent)) else value
        kinds = (Mapping, LearnerComponent)
        if not isinstance(parts, Sequence) or not parts or not all(isinstance(part, kinds) for part in parts):
            raise ArgumentError(
                f"`learner_distribution` must be None, a name ({', '.join(NAMED)}), a dict or a list of dicts, got {parts!r}"
            )
        return cls(tuple(_component(part) for part in parts))

    def to_json(self) -> list[Json]:
        """The components, see ``LearnerComponent.to_json``."""
        return [component.to_json() for component in self.components]

    def bind(
        self,
        policy_class: type[BasePolicy],
        policy_kwargs: Mapping[str, object],
        observation_space: Space,
        action_space: Space,
        device: th.device | str = "cpu",
        statistics: Mapping[str, th.Tensor] | None = None,
        encoder: Encoder | None = None,
    ) -> LearnerSampler[PolicyFactory]:
        """
        A sampler of learners that are actors of SB3's policies.

        :param policy_class: policy of the components that name none
        :param policy_kwargs: keyword arguments of the components that name none
        :param observation_space: observation space of the environment
        :param action_space: action space of the environment
        :param device: device of the parameters
        :param statistics: running statistics that the learners share, see ``networks.statistics_of``
        :param encoder: the first layers of all learners, which are not drawn
        :return: a sampler of learners for these spaces
        :raises ValueError: if the network of a component does not fit the spaces or the encoder, or has no layers that can
            be drawn
        :raises TypeError: for a policy that cannot be taught
        """
        factory = PolicyFactory(policy_class, policy_kwargs, observation_space, action_space, device)
        return self.sampler(factory, device, statistics, encoder)

    def sampler(
        self,
        factory: Factory,
        device: th.device | str = "cpu",
        statistics: Mapping[str, th.Tensor] | None = None,
        encoder: Encoder | None = None,
    ) -> LearnerSampler[Factory]:
        """
        A sampler of learners of any kind.

        :param factory: builder of the components' networks
        :param device: device of the parameters
        :param statistics: running statistics that the learners share, see ``networks.statistics_of``
        :param encoder: the first layers of all learners, which are not drawn
        :return: a sampler of learners that the factory builds
        :raises ValueError: if the network of a component does not fit the labels or the encoder
        """
        return LearnerSampler(self.components, self.n_shapes, factory, device, statistics, encoder)


def _component(value: Mapping[str, object] | LearnerComponent) -> LearnerComponent:
    if isinstance(value, LearnerComponent):
        return value
    names = {entry.name for entry in fields(LearnerComponent)}
    if unknown := set(value) - names:
        raise ArgumentError(f"unknown keys {sorted(unknown)} in `learner_distribution`; known are {sorted(names)}")
    return LearnerComponent(**cast(Kwargs, value))


LearnerDistributionLike: TypeAlias = (
    LearnerDistribution | LearnerComponent | str | Mapping[str, object] | Sequence[Mapping[str, object] | LearnerComponent]
)
"""What ``LearnerDistribution.parse`` takes besides ``None``."""
