"""The networks inside an SB3 policy: plain modules from preprocessed observations to outputs."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, cast

import torch as th
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.torch_layers import FlattenExtractor, MlpExtractor, NatureCNN
from stable_baselines3.dqn.policies import DQNPolicy
from torch import nn

from sb3_distill.errors import UnsupportedError
from sb3_distill.typing import Observations

NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.KEYWORD_ONLY)
"""Kinds of parameters that have a name."""


class Network(nn.Module):
    """
    Features extractor, hidden layers and last layer of an actor or a critic, in this order.

    The parameters are the policy's own: writing to them changes the policy.

    :param features: features extractor, from preprocessed observations ``(b, *obs)``, or a dict of them, to ``(b, n)``
    :param latent: hidden layers, from features to the input of the last layer ``(b, h)``
    :param head: last layer, to outputs ``(b, n_outputs)``: logits, or means before any squashing
    """

    def __init__(self, features: nn.Module, latent: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.features = features
        self.latent = latent
        self.head = head

    def forward(self, observations: Observations) -> th.Tensor:
        """
        :param observations: preprocessed observations ``(b, *obs)``, or a dict of such tensors
        :return: outputs ``(b, n_outputs)``
        """
        outputs: th.Tensor = self.head(self.latent(self.features(observations)))
        return outputs

    def chain(self) -> list[tuple[str, nn.Module]] | None:
        """
        :return: names and modules of which the network is the composition, or ``None`` if a module in it decides in its own
            code what it does (a custom extractor)
        """
        try:
            return [pair for part in ("features", "latent", "head") for pair in _unfold(part, getattr(self, part))]
        except _NotSequentialError:
            return None

    def first_layer(self) -> nn.Module | None:
        """
        :return: the first module with parameters, or ``None`` where a custom module decides what comes first
        """
        for name in ("features", "latent", "head"):
            part = getattr(self, name)
            if list(part.parameters()):
                try:
                    return next(module for _, module in _unfold(name, part) if list(module.parameters()))
                except _NotSequentialError:
                    return None
        return None


def parts_of(network: Network) -> list[tuple[str, nn.Module]]:
    """
    :param network: an actor
    :return: names and modules that it runs through, up to where a custom ``mlp_extractor`` begins; a features extractor with
        code of its own is one module
    """
    pairs: list[tuple[str, nn.Module]] = []
    for part in ("features", "latent", "head"):
        module = getattr(network, part)
        try:
            pairs += list(_unfold(part, module, strict=False))
        except _NotSequentialError:
            if part == "latent":
                break
            pairs.append((part, module))
    return pairs


class _NotSequentialError(Exception):
    """A module decides in its own code what it does."""


class _Half(nn.Module):
    """
    The actor's or the critic's half of a custom ``mlp_extractor``.

    :param extractor: the ``mlp_extractor``
    :param method: name of the method that computes this half
    """

    def __init__(self, extractor: nn.Module, method: str) -> None:
        super().__init__()
        self.extractor = extractor
        self._method = method

    def forward(self, features: th.Tensor) -> th.Tensor:
        latent: th.Tensor = getattr(self.extractor, self._method)(features)
        return latent


def _unfold(name: str, module: nn.Module, strict: bool = True) -> Iterator[tuple[str, nn.Module]]:
    """
    :param name: name of the module
    :param module: a part of a network
    :param strict: whether to refuse modules with code of their own inside a ``Sequential``, instead of taking them as one link
    :return: names and modules of which it is the composition
    :raises _NotSequentialError: if it is none
    """
    if type(module) is nn.Sequential:
        for child_name, child in module.named_children():
            try:
                yield from list(_unfold(f"{name}.{child_name}", child, strict))
            except _NotSequentialError:
                if strict:
                    raise
                yield f"{name}.{child_name}", child
    elif type(module) is FlattenExtractor:
        yield f"{name}.flatten", module.flatten
    elif type(module) is NatureCNN:
        yield from _unfold(f"{name}.cnn", module.cnn)
        yield from _unfold(f"{name}.linear", module.linear)
    elif type(module).__module__.startswith("torch.nn."):
        yield name, module
    else:
        raise _NotSequentialError


def actor_of(policy: BasePolicy) -> Network:
    """
    The network that maps an observation to logits, means or action values, in any SB3 policy.

    :param policy: an actor-critic policy of SB3 or sb3-contrib (PPO, A2C, TRPO, maskable PPO), a policy of DQN, or one of
        SAC, TD3, DDPG, TQC, CrossQ
    :return: its actor up to the last linear layer, before any squashing; it shares the policy's parameters
    :raises TypeError: for a policy whose actor is not a map from an observation to outputs (recurrent policies), whose
        output is of another kind (quantiles), or that is unknown
    """
    name = type(policy).__name__
    if needs := needs_of(policy):
        raise UnsupportedError(
            f"{name} is recurrent, or needs {' and '.join(needs)} beside an observation: its action depends on the past, "
            "stack frames instead"
        )
    if hasattr(policy, "quantile_net"):
        raise UnsupportedError(f"{name} predicts a distribution of returns per action; labels hold one number per action")
    if hasattr(policy, "mlp_extractor") and hasattr(policy, "action_net"):
        policy = cast("ActorCriticPolicy", policy)
        extractor = policy.mlp_extractor
        latent = extractor.policy_net if type(extractor) is MlpExtractor else _Half(extractor, "forward_actor")
        return Network(policy.pi_features_extractor, latent, policy.action_net)
    if isinstance(policy, DQNPolicy):
        return _cut(policy.q_net.features_extractor, policy.q_net.q_net)
    actor = cast("_OffPolicyActor | None", getattr(policy, "actor", None))
    if actor is not None and hasattr(actor, "latent_pi"):
        mean = actor.mu[0] if isinstance(actor.mu, nn.Sequential) else actor.mu  # gSDE clips the mean after it
        return Network(actor.features_extractor, actor.latent_pi, mean)
    layers = getattr(actor, "mu", None)
    if actor is not None and isinstance(layers, nn.Sequential):
        return _cut(actor.features_extractor, layers)
    raise UnsupportedError(f"{name} is not a policy that can be taught")


def needs_of(policy: object) -> list[str]:
    """
    :param policy: a policy, or its class
    :return: what its methods must be given beside an observation (states of a recurrent network), by the names of arguments
    """
    needs = ["lstm_states"] if hasattr(policy, "lstm_actor") else []
    policy = policy if isinstance(policy, type) else type(policy)
    for method in (getattr(policy, name, None) for name in ("predict", "_predict", "get_distribution")):
        parameters = list(inspect.signature(method).parameters.values()) if callable(method) else []
        required = [one.name for one in parameters[2:] if one.default is one.empty and one.kind in NAMED]
        needs += [name for name in required if name not in needs and name != "deterministic"]
    return needs


def takes_argument(function: Callable[..., object], name: str) -> bool:
    """Whether a function has a parameter of that name."""
    return name in inspect.signature(function).parameters


class _OffPolicyActor(Protocol):
    """What the actors of SAC, TD3 and their kin have in common; those of TD3 have no ``latent_pi``."""

    features_extractor: nn.Module
    latent_pi: nn.Module
    mu: nn.Module


def squashes(policy: BasePolicy) -> bool:
    """
    :param policy: any SB3 policy
    :return: whether it puts its outputs through a tanh and scales the result to the action space
    """
    return hasattr(policy, "actor") or bool(getattr(policy, "squash_output", False))


def _cut(features: nn.Module, layers: Iterable[nn.Module]) -> Network:
    """A network whose last linear layer is inside a ``Sequential``, maybe before a tanh."""
    modules = list(layers)
    last = max(i for i, module in enumerate(modules) if isinstance(module, nn.Linear))
    return Network(features, nn.Sequential(*modules[:last]), modules[last])


def parameters_in_use(network: Network, observations: Observations) -> list[str]:
    """
    :param network: any network; a custom ``mlp_extractor`` holds the parameters of both actor and critic
    :param observations: a batch of preprocessed observations ``(b, *obs)``, or a dict of such tensors
    :return: names of the parameters on which the outputs depend
    """
    names, parameters = zip(*network.named_parameters(), strict=True)
    if network.chain() is not None:
        return list(names)
    with th.enable_grad():
        gradients = th.autograd.grad(network(observations).sum(), parameters, allow_unused=True)
    return [name for name, gradient in zip(names, gradients, strict=True) if gradient is not None]


def statistics_of(network: Network) -> dict[str, th.Tensor]:
    """
    :param network: any network
    :return: its buffers (running statistics of batch norms, and of modules of a user) by name, not copied; without the
        counters of batch norms, which nothing depends on
    """
    return {name: buffer for name, buffer in network.named_buffers() if not name.endswith(".num_batches_tracked")}


def share_statistics(network: Network, statistics: Mapping[str, th.Tensor]) -> None:
    """
    Let a network use other running statistics, where it has such of the same name and shape.

    The tensors are shared, so that what the policy in training learns reaches all templates at once; copies would have to
    be renewed after each of its updates, wherever a network is built or kept.

    :param network: network that is changed in place
    :param statistics: running statistics by name, see ``statistics_of``; shared, not copied
    """
    for name, buffer in list(network.named_buffers(remove_duplicate=False)):
        value = statistics.get(name)
        if value is not None and value.shape == buffer.shape:
            path, _, leaf = name.rpartition(".")
            setattr(network.get_submodule(path), leaf, value.to(buffer.dtype))


def critic_of(policy: ActorCriticPolicy) -> Network:
    """
    :param policy: an SB3 actor-critic policy
    :return: its critic, which shares the policy's parameters
    """
    extractor = policy.mlp_extractor
    latent = extractor.value_net if type(extractor) is MlpExtractor else _Half(extractor, "forward_critic")
    return Network(policy.vf_features_extractor, latent, policy.value_net)
