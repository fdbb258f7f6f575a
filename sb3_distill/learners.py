"""Learners: a stacked population of initial or trained actors, and the distribution they are drawn from."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy

from sb3_distill import initialization
from sb3_distill.action_distribution import ActionDistribution
from sb3_distill.networks import Network, actor_of, share_statistics
from sb3_distill.stacked import Params, StackedNetwork, stack_parameters


class Learners:
    """
    M actors, stacked group by group: the learners of one group have one shape.

    :param groups: per shape, its forward pass and the parameters ``(m, *shape)``; learner 0 is the first of group 0
    """

    def __init__(self, groups: Sequence[tuple[StackedNetwork, Params]]) -> None:
        self.groups = list(groups)
        self._sizes = [next(iter(params.values())).shape[0] for _, params in self.groups]
        self.n_learners = sum(self._sizes)

    def __call__(self, observations: Any) -> th.Tensor:
        """
        :param observations: ``(M, b, *preprocessed shape)``, or a dict of such tensors: learner i sees ``[i]``
        :return: outputs ``(M, b, n_outputs)``
        """
        if len(self.groups) == 1:
            actor, params = self.groups[0]
            return actor(params, observations)
        parts = [actor(params, part) for (actor, params), part in zip(self.groups, self._split(observations), strict=True)]
        return th.cat(parts)

    def with_latent(self, observations: Any) -> tuple[th.Tensor, th.Tensor]:
        """
        :param observations: as for a call
        :return: outputs ``(M, b, n_outputs)`` and the inputs of the last layers ``(M, b, h)``
        :raises ValueError: if learners of several widths are stacked
        """
        latents, outputs = [], []
        for (actor, params), part in zip(self.groups, self._split(observations), strict=True):
            latents.append(actor.latent(params, part))
            outputs.append(actor.head(params, latents[-1]))
        if len({latent.shape[-1] for latent in latents}) > 1:
            raise ValueError("gSDE needs learners whose last hidden layers are equally wide: change `learner_distribution`")
        return th.cat(outputs), th.cat(latents)

    def outputs(self, inputs: Any, with_latent: bool = False) -> tuple[th.Tensor, th.Tensor | None]:
        """
        Let each learner see its share of a flat batch.

        :param inputs: preprocessed observations ``(M * b, ...)``, or a dict of such tensors, those of learner 0 first
        :param with_latent: return the inputs of the last layer too, as gSDE needs them
        :return: outputs ``(M * b, n_outputs)`` and the inputs of the last layer ``(M * b, h)`` or ``None``
        """
        split = (self.n_learners, -1)
        if isinstance(inputs, Mapping):
            inputs = {key: value.unflatten(0, split) for key, value in inputs.items()}
        else:
            inputs = inputs.unflatten(0, split)
        if not with_latent:
            return self(inputs).flatten(0, 1), None
        outputs, latent = self.with_latent(inputs)
        return outputs.flatten(0, 1), latent.flatten(0, 1)

    def _split(self, observations: Any) -> Sequence[Any]:
        if isinstance(observations, Mapping):
            split = {key: value.split(self._sizes) for key, value in observations.items()}
            return [{key: split[key][i] for key in split} for i in range(len(self.groups))]
        return observations.split(self._sizes)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class LearnerComponent:
    """
    One part of a mixture of learners.

    :param policy: SB3 policy class; ``None`` for the one that the distribution is used with
    :param policy_kwargs: its keyword arguments; ``None`` for those that the distribution is used with
    :param init: initialisation, one of ``initialization.INITIALIZATIONS``; ``None`` for the policy's own
    :param hidden_gain: gain of all layers but the last, for ``init``
    :param last_gain: gain of the last layer, for ``init``
    :param weight: relative frequency
    """

    policy: type[BasePolicy] | None = None
    policy_kwargs: Mapping[str, Any] | None = None
    init: str | None = None
    hidden_gain: float = 2**0.5
    last_gain: float = 0.01
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.init is not None and self.init not in initialization.INITIALIZATIONS:
            known = ", ".join(initialization.INITIALIZATIONS)
            raise ValueError(f"unknown initialisation {self.init!r} in `learner_distribution`; known are {known}")
        if not self.weight > 0:
            raise ValueError(f"the `weight` of a learner component must be positive, got {self.weight}")


@dataclass(frozen=True)
class LearnerDistribution:
    """
    The learner distribution (``Lambda`` of the paper): which networks a dataset is made to teach.

    :param components: the parts of the mixture; by default the policy it is used with, initialised in its own way
    :param n_shapes: at most so many different shapes are drawn at a time, so that the cost of an iteration is bounded
    """

    components: tuple[LearnerComponent, ...] = field(default_factory=lambda: (LearnerComponent(),))
    n_shapes: int = 4

    @classmethod
    def parse(cls, value: Any) -> "LearnerDistribution":
        """
        :param value: a distribution, ``None`` (the policy's own), ``"lambda"`` (the paper's: orthogonal, 0.01 on the
            last layer), or a component or list of components as dicts (the form that YAML can say)
        :raises ValueError: for anything else
        """
        if isinstance(value, cls):
            return value
        if value is None:
            return cls()
        if value == "lambda":
            return cls((LearnerComponent(init="orthogonal"),))
        if isinstance(value, Mapping):
            value = [value]
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            raise ValueError(f"`learner_distribution` must be None, 'lambda', a dict or a list of dicts, got {value!r}")
        known = {entry.name for entry in fields(LearnerComponent)}
        for component in value:
            if unknown := set(component) - known:
                raise ValueError(f"unknown keys {sorted(unknown)} in `learner_distribution`; known are {sorted(known)}")
        return cls(tuple(LearnerComponent(**component) for component in value))

    def to_json(self) -> list[dict[str, Any]]:
        """The components, with classes and values that JSON cannot hold given by name."""
        components = [asdict(component) for component in self.components]
        for component in components:
            component["policy"] = component["policy"] and component["policy"].__name__
            component["policy_kwargs"] = component["policy_kwargs"] and repr(component["policy_kwargs"])
        return components

    def bind(
        self,
        policy_class: type[BasePolicy],
        policy_kwargs: Mapping[str, Any],
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        device: th.device | str = "cpu",
        statistics: Mapping[str, th.Tensor] | None = None,
    ) -> "LearnerSampler":
        """
        :param policy_class: class of the components that name none
        :param policy_kwargs: keyword arguments of the components that name none
        :param observation_space: of the environment
        :param action_space: of the environment
        :param device: where the parameters shall be
        :param statistics: running statistics that the learners share, see ``networks.statistics_of``
        :return: a sampler of learners for these spaces
        """
        return LearnerSampler(self, policy_class, policy_kwargs, observation_space, action_space, device, statistics)


class LearnerSampler:
    """A ``LearnerDistribution`` bound to spaces and to a default policy; see ``LearnerDistribution.bind``."""

    def __init__(
        self,
        distribution: LearnerDistribution,
        policy_class: type[BasePolicy],
        policy_kwargs: Mapping[str, Any],
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        device: th.device | str,
        statistics: Mapping[str, th.Tensor] | None,
    ) -> None:
        self.distribution = distribution
        self._statistics = statistics or {}
        self._default = (policy_class, dict(policy_kwargs))
        self._spaces = (observation_space, action_space)
        self._device = device
        self._template = lru_cache(maxsize=64)(self._build_template)
        self._weights = th.tensor([component.weight for component in distribution.components])

    def sample(self, n_learners: int, generator: th.Generator) -> Learners:
        """
        Line 2 of Algorithm 1, for a population.

        :param n_learners: M
        :param generator: source of all randomness (CPU)
        :return: M initial learners
        """
        n_slots = min(n_learners, self.distribution.n_shapes, n_learners if len(self._weights) > 1 else 1)
        slots = th.multinomial(self._weights, n_slots, replacement=True, generator=generator).tolist()
        counts: dict[int, int] = {}
        for learner in range(n_learners):
            index = slots[learner % n_slots]
            counts[index] = counts.get(index, 0) + 1
        return Learners([self._draw(index, count, generator) for index, count in counts.items()])

    def _draw(self, index: int, n: int, generator: th.Generator) -> tuple[StackedNetwork, Params]:
        component = self.distribution.components[index]
        stacked, policy = self._template(index)
        if component.init is not None:
            draw = initialization.draw(
                stacked.template, n, generator, component.init, component.hidden_gain, component.last_gain
            )
            return stacked, draw
        if _starts_like_sb3(policy, stacked.template):
            scheme = "orthogonal" if policy.ortho_init else initialization.PYTORCH
            return stacked, initialization.draw(stacked.template, n, generator, scheme)
        # The policy's own code draws its parameters, from torch's global generator.
        seed = int(th.randint(2**31, (), generator=generator))
        with th.random.fork_rng(devices=[]):
            th.manual_seed(seed)
            return stacked, stack_parameters([actor_of(self._build_policy(index)) for _ in range(n)])

    def _build_policy(self, index: int) -> BasePolicy:
        component = self.distribution.components[index]
        policy_class = component.policy or self._default[0]
        policy_kwargs = self._default[1] if component.policy_kwargs is None else dict(component.policy_kwargs)
        return policy_class(*self._spaces, lambda _: 0.0, **policy_kwargs).to(self._device)

    def _build_template(self, index: int) -> tuple[StackedNetwork, Any]:
        with th.random.fork_rng(devices=[]):
            policy = self._build_policy(index)
        policy.set_training_mode(False)  # no dropout, fixed batch norm: as the taught policy will act
        actor = actor_of(policy)
        share_statistics(actor, self._statistics)
        return StackedNetwork(actor), policy

    def action_distribution(self) -> ActionDistribution:
        """That of the learners (of the first component, if there are several)."""
        return ActionDistribution(self._spaces[1], getattr(self._template(0)[1], "action_dist", None))


def _starts_like_sb3(policy: BasePolicy, actor: Network) -> bool:
    """Whether a policy's initial parameters follow a law of ``initialization``."""
    if not isinstance(policy, ActorCriticPolicy) or not initialization.is_plain(actor):
        return False
    if type(policy)._build is not ActorCriticPolicy._build:
        return False
    # Orthogonal initialisation overwrites every layer; without it a custom module may have drawn its own.
    return policy.ortho_init or actor.chain() is not None
