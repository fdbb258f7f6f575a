"""The sampler draws initial learners of a distribution."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Generic, TypeVar

import torch as th
from torch import nn

from sb3_distill.errors import ArgumentError
from sb3_distill.learners import initialization
from sb3_distill.learners.architecture import Architecture, perceptron
from sb3_distill.learners.component import LearnerComponent
from sb3_distill.learners.factory import NetworkFactory
from sb3_distill.learners.population import Group, Learners
from sb3_distill.networks.anatomy import Network, share_statistics
from sb3_distill.networks.encoder import Encoder, encoder_levels
from sb3_distill.networks.stacked import StackedNetwork, stack_parameters
from sb3_distill.typing import Params

Factory_co = TypeVar("Factory_co", bound=NetworkFactory, covariant=True)


class LearnerSampler(Generic[Factory_co]):
    """
    Draws learners; made by ``LearnerDistribution.sampler`` or ``LearnerDistribution.bind``.

    :param components: parts of the mixture
    :param n_shapes: largest number of shapes in one draw
    :param factory: builder of the components' networks
    :param device: device of the parameters
    :param statistics: running statistics that the learners share, see ``networks.statistics_of``
    :param encoder: the first layers of all learners, which are not drawn
    :raises ValueError: if the network of a component does not fit the labels or the encoder
    :ivar is_taught: whether the encoder leaves anything to teach
    """

    def __init__(
        self,
        components: Sequence[LearnerComponent],
        n_shapes: int,
        factory: Factory_co,
        device: th.device | str = "cpu",
        statistics: Mapping[str, th.Tensor] | None = None,
        encoder: Encoder | None = None,
    ) -> None:
        self.components, self.n_shapes, self.factory = tuple(components), n_shapes, factory
        self._device, self._statistics, self._encoder = device, statistics or {}, encoder
        self._network = lru_cache(maxsize=64)(self._build_apart)
        self._template = lru_cache(maxsize=256)(self._build_template)
        self._weights = th.tensor([float(component.weight) for component in self.components])
        # The first component of each kind stands for all of that kind: their learners can be stacked.
        kinds = [component.kind for component in self.components]
        self._representatives = [kinds.index(kind) for kind in kinds]
        for index, component in enumerate(self.components):
            self._check(self._representatives[index], component.draws_layers)
        layers, rest = self._split(self._network(0, False))
        self._encoder_layers, self.is_taught = layers, rest is not None
        if layers is not None and encoder is not None:
            encoder.write_to(layers)  # for learners that are not taught; a dataset binds them to its parameters

    @property
    def fixed_networks(self) -> list[StackedNetwork]:
        """Networks of the components whose layers are not drawn."""
        kinds = zip(self._representatives, self.components, strict=True)
        return [self._template(index, None) for index, component in kinds if not component.draws_layers]

    def sample(self, n_learners: int, generator: th.Generator) -> Learners:
        """
        Line 2 of Algorithm 1, for a population.

        :param n_learners: M
        :param generator: source of all randomness (CPU)
        :return: M initial learners, of at most ``n_shapes`` shapes
        """
        if not self.is_taught:
            return Learners([], n_learners=n_learners, encoder_layers=self._encoder_layers)
        varied = len(self.components) > 1 or self.components[0].draws_layers
        n_slots = min(n_learners, self.n_shapes) if varied else 1
        slots = th.multinomial(self._weights, n_slots, replacement=True, generator=generator).tolist()
        drawn: dict[tuple[int, Architecture | None], list[Params]] = {}
        components: dict[tuple[int, Architecture | None], list[int]] = {}
        for slot, index in enumerate(slots):
            n = len(range(slot, n_learners, n_slots))
            architecture = self.components[index].draw_architecture(generator)
            params = self._draw(index, architecture, n, generator)
            shape = self._representatives[index], architecture
            drawn.setdefault(shape, []).append(params)
            components.setdefault(shape, []).extend([index] * n)
        groups = [Group(self._template(*shape), _concatenate(parts)) for shape, parts in drawn.items()]
        origins = [index for part in components.values() for index in part]
        return Learners(groups, encoder_layers=self._encoder_layers, components=origins)

    def _draw(self, index: int, architecture: Architecture | None, n: int, generator: th.Generator) -> Params:
        component = self.components[index]
        template = self._template(self._representatives[index], architecture).template
        is_plain = initialization.is_plain(template)
        init = component.draw_init(generator)
        if init is not None:
            params = initialization.draw(template, n, generator, init, component.hidden_gain, component.last_gain)
            if is_plain:
                return params
            return {**self._built_parameters(component, architecture is not None, n, generator, template), **params}
        law = self.factory.law(component, template)
        if law is not None and is_plain:
            return initialization.draw(template, n, generator, law)
        return self._built_parameters(component, False, n, generator, template)

    def _built_parameters(
        self, component: LearnerComponent, without_layers: bool, n: int, generator: th.Generator, template: Network
    ) -> Params:
        """Parameters of ``template`` as the factory's code draws them from torch's global generator."""
        seed = int(th.randint(2**31, (), generator=generator))
        with th.random.fork_rng(devices=[]):
            th.manual_seed(seed)
            params = stack_parameters([self._build(component, without_layers) for _ in range(n)])
        return {name: params[name] for name, _ in template.named_parameters() if name in params}

    def _build(self, component: LearnerComponent, without_layers: bool) -> Network:
        """A new network, without dropout and with fixed batch norms, as the taught network will act."""
        return self.factory.build(component, without_layers).eval().to(self._device)

    def _build_apart(self, index: int, without_layers: bool) -> Network:
        with th.random.fork_rng(devices=[]):
            return self._build(self.components[index], without_layers)

    def _build_template(self, index: int, architecture: Architecture | None) -> StackedNetwork:
        network = self._network(index, architecture is not None)
        if architecture is not None:
            network = perceptron(network, architecture)
        _, rest = self._split(network)
        assert rest is not None
        return StackedNetwork(rest)

    def _split(self, network: Network) -> tuple[nn.Module | None, Network | None]:
        share_statistics(network, self._statistics)
        return (None, network) if self._encoder is None else self._encoder.split(network)

    def _check(self, index: int, draws_layers: bool) -> None:
        """Outputs that do not fit the labels would be taught nonsense where a product broadcasts."""
        network, factory = self._network(index, draws_layers), self.factory
        if self._encoder is not None:
            if draws_layers and self._encoder.n_layers >= encoder_levels(network):  # the last one follows the drawn ones
                raise ArgumentError(
                    f"the encoder holds {self._encoder.n_layers} layers of the learners, and those that can be drawn start "
                    "before its end: leave out `width`, `depth`, `activation` and `layer_norm` in `learner_distribution`"
                )
            self._encoder.split(network)
        n_outputs = getattr(network.head, "out_features", None)
        if n_outputs not in (None, factory.n_outputs):
            raise ArgumentError(
                f"{factory.name(self.components[index])} in `learner_distribution` has {n_outputs} outputs, "
                f"{factory.target} needs {factory.n_outputs}"
            )


def _concatenate(parts: list[Params]) -> Params:
    return parts[0] if len(parts) == 1 else {name: th.cat([part[name] for part in parts]) for name in parts[0]}
