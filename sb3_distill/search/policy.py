"""A policy of SB3 with any architecture of a search, for PPO and its kin."""

from collections.abc import Mapping
from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, CombinedExtractor, FlattenExtractor
from stable_baselines3.common.type_aliases import Schedule

from sb3_distill.errors import ArgumentError
from sb3_distill.learners.initialization import draw
from sb3_distill.networks.anatomy import Network, actor_of, critic_of
from sb3_distill.networks.stacked import write_parameters
from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.spaces.checks import describe
from sb3_distill.typing import Space

SAID_BY_ARCHITECTURE = (
    "net_arch", "activation_fn", "ortho_init", "features_extractor_class", "features_extractor_kwargs"
)  # fmt: skip
"""Arguments of ``ActorCriticPolicy`` that an architecture stands for."""


class ConvolutionsExtractor(BaseFeaturesExtractor):
    """
    The convolutions of an architecture.

    :param observation_space: space of images, with channels first
    :param architecture: the architecture
    :raises ValueError: if the observations are no images, or the kernels are larger than what they see
    """

    def __init__(self, observation_space: spaces.Box, architecture: PolicyArchitecture) -> None:
        if not is_image_space(observation_space):
            raise ArgumentError(f"an architecture with convolutions needs images, got {describe(observation_space)}")
        layers = architecture.image_layers(observation_space.shape[0])
        try:
            with th.no_grad():
                n_features = layers(th.zeros(1, *observation_space.shape)).shape[1]
        except RuntimeError as error:
            raise ArgumentError(
                f"the convolutions of {architecture} do not fit {describe(observation_space)}: {error}"
            ) from error
        super().__init__(observation_space, n_features)
        self.layers = layers

    def forward(self, observations: th.Tensor) -> th.Tensor:
        features: th.Tensor = self.layers(observations)
        return features


class ArchitecturePolicy(ActorCriticPolicy):
    """
    An actor-critic policy whose layers and initialisation an architecture says, the same for actor and critic. SB3's
    ``net_arch`` has no layer norm, and one initialisation.

    ``PPO(ArchitecturePolicy, env, policy_kwargs={"architecture": {"widths": [128], "layer_norm": True}})``

    :param observation_space: observation space of the environment: anything that SB3 takes, images where the architecture has
        convolutions
    :param action_space: action space of the environment
    :param lr_schedule: learning rate by progress
    :param architecture: the architecture, or its JSON form
    :param kwargs: arguments of ``ActorCriticPolicy``, without those that the architecture says
    :raises ValueError: if the architecture does not fit the observations
    """

    def __init__(
        self,
        observation_space: Space,
        action_space: Space,
        lr_schedule: Schedule,
        architecture: PolicyArchitecture | Mapping[str, object] | None = None,
        **kwargs: Any,
    ) -> None:
        self.architecture = PolicyArchitecture() if architecture is None else PolicyArchitecture.of(architecture)
        for name in SAID_BY_ARCHITECTURE:
            if kwargs.pop(name, None) is not None:
                raise ArgumentError(f"`{name}` is what the architecture says: leave it out of `policy_kwargs`")
        is_dict = isinstance(observation_space, spaces.Dict)
        kwargs["features_extractor_class"] = CombinedExtractor if is_dict else FlattenExtractor
        if self.architecture.convolutions:
            kwargs["features_extractor_class"] = ConvolutionsExtractor
            kwargs["features_extractor_kwargs"] = {"architecture": self.architecture}
        super().__init__(observation_space, action_space, lr_schedule, net_arch=[], ortho_init=False, **kwargs)

    def _build_mlp_extractor(self) -> None:
        super()._build_mlp_extractor()
        extractor = self.mlp_extractor
        extractor.policy_net, extractor.value_net = (
            self.architecture.hidden_layers(self.features_dim).to(self.device) for _ in range(2)
        )
        extractor.latent_dim_pi = extractor.latent_dim_vf = self.architecture.widths[-1]

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        generator = th.Generator().manual_seed(int(th.randint(2**62, ())))  # follows SB3's seed
        for network, last_gain in ((critic_of(self), 1.0), (actor_of(self), self.architecture.last_gain)):
            write_parameters(network, draw_parameters(network, self.architecture, 1, generator, last_gain))

    def _get_constructor_parameters(self) -> dict[str, Any]:
        data = super()._get_constructor_parameters()
        for name in SAID_BY_ARCHITECTURE:
            del data[name]
        return {**data, "architecture": self.architecture.to_json()}


def draw_parameters(
    network: Network, architecture: PolicyArchitecture, n: int, generator: th.Generator, last_gain: float
) -> dict[str, th.Tensor]:
    """
    :param network: actor or critic of that architecture
    :param architecture: says the initialisation
    :param n: number of draws
    :param generator: source of randomness (CPU)
    :param last_gain: gain of the last layer
    :return: parameters ``(n, *shape)`` by name
    """
    return draw(network, n, generator, architecture.init, architecture.hidden_gain, last_gain)
