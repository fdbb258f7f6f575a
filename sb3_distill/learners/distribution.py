"""The learner distribution: which networks, with which initial parameters, a dataset is made to teach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.torch_layers import MlpExtractor
from torch import nn

from sb3_distill.errors import ArgumentError
from sb3_distill.learners import initialization
from sb3_distill.learners.architecture import Architecture, perceptron
from sb3_distill.learners.component import LearnerComponent
from sb3_distill.learners.named import NAMED
from sb3_distill.learners.population import Learners
from sb3_distill.networks.action_distribution import ActionDistribution, make_action_distribution
from sb3_distill.networks.anatomy import Network, actor_of, share_statistics
from sb3_distill.networks.encoder import Encoder, encoder_levels
from sb3_distill.networks.stacked import StackedNetwork, stack_parameters
from sb3_distill.spaces.checks import describe
from sb3_distill.spaces.sizes import n_outputs
from sb3_distill.typing import Params


@dataclass(frozen=True)
class LearnerDistribution:
    """
    The learner distribution (``Lambda`` of the paper): which networks a dataset is made to teach.

    :param components: the parts of the mixture; by default the policy it is used with, initialised in its own way
    :param n_shapes: at most so many different shapes are drawn at a time, so that the cost of an iteration is bounded
    :raises ValueError: if there is no component, or no shape
    """

    components: tuple[LearnerComponent, ...] = field(default_factory=lambda: (LearnerComponent(),))
    n_shapes: int = 4

    def __post_init__(self) -> None:
        if not self.components or self.n_shapes < 1:
            raise ArgumentError("a `LearnerDistribution` needs at least one component and one shape")

    @classmethod
    def parse(cls, value: Any) -> "LearnerDistribution":
        """
        :param value: a distribution, ``None`` (the policy's own), a name (one of ``NAMED``), or a component or list of
            components as dicts (the form that YAML can say)
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
        if isinstance(value, (Mapping, LearnerComponent)):
            value = [value]
        kinds = (Mapping, LearnerComponent)
        if not isinstance(value, Sequence) or not value or not all(isinstance(part, kinds) for part in value):
            raise ArgumentError(
                f"`learner_distribution` must be None, a name ({', '.join(NAMED)}), a dict or a list of dicts, got {value!r}"
            )
        known = {entry.name for entry in fields(LearnerComponent)}
        components = []
        for part in value:
            if isinstance(part, Mapping):
                if unknown := set(part) - known:
                    raise ArgumentError(f"unknown keys {sorted(unknown)} in `learner_distribution`; known are {sorted(known)}")
                part = LearnerComponent(**part)
            components.append(part)
        return cls(tuple(components))

    def to_json(self) -> list[dict[str, Any]]:
        """The components, see ``LearnerComponent.to_json``."""
        return [component.to_json() for component in self.components]

    def bind(
        self,
        policy_class: type[BasePolicy],
        policy_kwargs: Mapping[str, Any],
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        device: th.device | str = "cpu",
        statistics: Mapping[str, th.Tensor] | None = None,
        encoder: Encoder | None = None,
    ) -> "LearnerSampler":
        """
        :param policy_class: class of the components that name none
        :param policy_kwargs: keyword arguments of the components that name none
        :param observation_space: of the environment
        :param action_space: of the environment
        :param device: where the parameters shall be
        :param statistics: running statistics that the learners share, see ``networks.statistics_of``
        :param encoder: the first layers of all learners, which are not drawn
        :return: a sampler of learners for these spaces
        :raises ValueError: if the network of a component does not fit the spaces or the encoder, or has no layers that can
            be drawn
        :raises TypeError: for a policy that cannot be taught
        """
        return LearnerSampler(self, policy_class, policy_kwargs, observation_space, action_space, device, statistics, encoder)


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
        encoder: Encoder | None,
    ) -> None:
        self.distribution = distribution
        self._statistics = statistics or {}
        self._encoder = encoder
        self._default = (policy_class, dict(policy_kwargs))
        self._spaces = (observation_space, action_space)
        self._device = device
        self._policy = lru_cache(maxsize=64)(self._build_policy_apart)
        self._template = lru_cache(maxsize=256)(self._build_template)
        self._weights = th.tensor([float(component.weight) for component in distribution.components])
        for index, component in enumerate(distribution.components):
            self._check(self._policy(self._shape_of(index), component.draws_layers), component.draws_layers)
        layers, rest = self._split(actor_of(self._policy(0, False)))
        self._encoder_layers, self._is_taught = layers, rest is not None
        if layers is not None and encoder is not None:
            encoder.write_to(layers)  # for learners that are not taught; a dataset binds them to its own

    def _split(self, actor: Network) -> tuple[nn.Module | None, Network | None]:
        share_statistics(actor, self._statistics)
        return (None, actor) if self._encoder is None else self._encoder.split(actor)

    def _check(self, policy: BasePolicy, draws_layers: bool) -> None:
        """Outputs that do not fit the labels would be taught nonsense where a product broadcasts."""
        actor = actor_of(policy)
        if self._encoder is not None:
            if draws_layers and self._encoder.n_layers >= encoder_levels(actor):  # the last one is behind those that are drawn
                raise ArgumentError(
                    f"the encoder holds {self._encoder.n_layers} layers of the learners, and those that can be drawn start "
                    "before its end: leave out `width`, `depth`, `activation` and `layer_norm` in `learner_distribution`"
                )
            self._encoder.split(actor)
        width, found = n_outputs(self._spaces[1]), getattr(actor.head, "out_features", None)
        if found not in (None, width):
            raise ArgumentError(
                f"{type(policy).__name__} in `learner_distribution` has {found} outputs, "
                f"{describe(self._spaces[1])} needs {width}"
            )

    def sample(self, n_learners: int, generator: th.Generator) -> Learners:
        """
        Line 2 of Algorithm 1, for a population.

        :param n_learners: M
        :param generator: source of all randomness (CPU)
        :return: M initial learners, of at most ``n_shapes`` shapes
        """
        components = self.distribution.components
        if not self._is_taught:
            return Learners([], n_learners=n_learners, encoder_layers=self._encoder_layers)
        varied = len(components) > 1 or components[0].draws_layers
        n_slots = min(n_learners, self.distribution.n_shapes) if varied else 1
        slots = th.multinomial(self._weights, n_slots, replacement=True, generator=generator).tolist()
        drawn: dict[tuple[int, Architecture | None], list[Params]] = {}
        for slot, index in enumerate(slots):
            n = len(range(slot, n_learners, n_slots))
            architecture = components[index].draw_architecture(generator)
            params = self._draw(index, architecture, n, generator)
            drawn.setdefault((self._shape_of(index), architecture), []).append(params)
        return Learners(
            [(self._template(*shape), parts[0] if len(parts) == 1 else _concatenate(parts)) for shape, parts in drawn.items()],
            encoder_layers=self._encoder_layers,
        )

    def _shape_of(self, index: int) -> int:
        """The first component with the same policy and arguments: learners of both can be stacked."""
        components = self.distribution.components
        own = (components[index].policy, components[index].policy_kwargs)
        return next(i for i, component in enumerate(components) if (component.policy, component.policy_kwargs) == own)

    def _draw(self, index: int, architecture: Architecture | None, n: int, generator: th.Generator) -> Params:
        component = self.distribution.components[index]
        template = self._template(self._shape_of(index), architecture).template
        init = component.draw_init(generator)
        if init is not None:
            drawn = initialization.draw(template, n, generator, init, component.hidden_gain, component.last_gain)
            if initialization.is_plain(template):
                return drawn
            return {**self._own_parameters(index, architecture is not None, n, generator, template), **drawn}
        policy = self._policy(self._shape_of(index), False)
        if _starts_like_sb3(policy, template):
            scheme = "orthogonal" if policy.ortho_init else initialization.PYTORCH
            return initialization.draw(template, n, generator, scheme)
        return self._own_parameters(index, False, n, generator, template)

    def _own_parameters(self, index: int, without_layers: bool, n: int, generator: th.Generator, template: Network) -> Params:
        """What the policy's own code draws, from torch's global generator; of the parameters of ``template``."""
        seed = int(th.randint(2**31, (), generator=generator))
        with th.random.fork_rng(devices=[]):
            th.manual_seed(seed)
            own = stack_parameters([actor_of(self._build_policy(index, without_layers)) for _ in range(n)])
        return {name: own[name] for name, _ in template.named_parameters() if name in own}

    def _build_policy_apart(self, index: int, without_layers: bool) -> Any:
        with th.random.fork_rng(devices=[]):
            return self._build_policy(index, without_layers)

    def _build_policy(self, index: int, without_layers: bool) -> Any:
        component = self.distribution.components[index]
        policy_class = component.policy or self._default[0]
        policy_kwargs = self._default[1] if component.policy_kwargs is None else dict(component.policy_kwargs)
        if without_layers:
            if not issubclass(policy_class, ActorCriticPolicy):
                raise ArgumentError(
                    f"`learner_distribution` draws layers for actor-critic policies; give {policy_class.__name__} its "
                    "`policy_kwargs` instead"
                )
            policy_kwargs = {**policy_kwargs, "net_arch": []}
        try:
            policy = policy_class(*self._spaces, lambda _: 0.0, **policy_kwargs).to(self._device)
        except Exception as error:  # whatever a policy says of spaces and arguments that are not its own
            raise ArgumentError(f"{policy_class.__name__} in `learner_distribution` does not fit: {error}") from error
        if without_layers and type(policy.mlp_extractor) is not MlpExtractor:
            raise ArgumentError(
                f"`learner_distribution` draws the layers of an MlpExtractor; {policy_class.__name__} has its own "
                f"{type(policy.mlp_extractor).__name__}: give only `init`, or its `policy_kwargs`"
            )
        policy.set_training_mode(False)  # no dropout, fixed batch norm: as the taught policy will act
        return policy

    def _build_template(self, index: int, architecture: Architecture | None) -> StackedNetwork:
        actor = actor_of(self._policy(index, architecture is not None))
        if architecture is not None:
            actor = perceptron(actor, architecture)
        _, rest = self._split(actor)
        assert rest is not None
        return StackedNetwork(rest)

    def action_distribution(self) -> ActionDistribution:
        """That of the learners (of the first component, if there are several)."""
        return make_action_distribution(self._spaces[1], getattr(self._policy(0, False), "action_dist", None))


def _concatenate(parts: list[Params]) -> Params:
    return {name: th.cat([part[name] for part in parts]) for name in parts[0]}


def _starts_like_sb3(policy: BasePolicy, actor: Network) -> bool:
    """Whether a policy's initial parameters follow a law of ``initialization``."""
    if not isinstance(policy, ActorCriticPolicy) or not initialization.is_plain(actor):
        return False
    if type(policy)._build is not ActorCriticPolicy._build:
        return False
    # Orthogonal initialisation overwrites every layer; without it a custom module may have drawn its own.
    return policy.ortho_init or actor.chain() is not None
