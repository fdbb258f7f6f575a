"""One member of an ensemble as an SB3 policy of its own."""

from collections.abc import Mapping
from typing import Any, cast

import torch as th
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from torch import nn

from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.ensemble.drawing import Drawing
from sb3_distill.learners.component import LearnerComponent
from sb3_distill.learners.population import Learners
from sb3_distill.networks.anatomy import Network, actor_of
from sb3_distill.networks.policy_kwargs import kwargs_of_the_set
from sb3_distill.networks.stacked import write_parameters
from sb3_distill.teaching.distilled_policy import DistilledPolicy
from sb3_distill.teaching.resolve_policy import resolve_policy
from sb3_distill.teaching.teach import build_policy
from sb3_distill.typing import Kwargs


def member_as_policy(drawing: Drawing, learner: Learners, component: LearnerComponent) -> DistilledPolicy:
    """
    :param drawing: the draw that the member is of
    :param learner: the taught member alone
    :param component: the part of the mixture that it was drawn from
    :return: a policy that acts as it does, in evaluation mode, on its device; its critic is a fresh one
    """
    dataset = drawing.dataset
    policy_class, kwargs = _class_and_kwargs(drawing, component)
    template = learner.groups[0].network.template if learner.groups else None
    if component.draws_layers and template is not None:
        policy = _with_layers(policy_class, dataset, kwargs, template)
    else:
        policy = build_policy(policy_class, dataset, kwargs, seed=0)
    device = dataset.labels.device
    taught = DistilledPolicy.from_dataset(dataset, policy.to(device), device=device)  # with encoder, statistics, deviations
    if template is not None:
        actor: Network | None = actor_of(taught)
        if dataset.encoder is not None:
            assert actor is not None
            actor = dataset.encoder.split(actor)[1]
        assert actor is not None
        write_parameters(actor, learner.groups[0].params)
    return taught


def _class_and_kwargs(drawing: Drawing, component: LearnerComponent) -> tuple[type[BasePolicy], Kwargs]:
    policy_class, kwargs = resolve_policy(drawing.dataset, drawing.policy, drawing.policy_kwargs)
    policy_class = component.policy or policy_class
    chosen: Mapping[str, Any] = kwargs if component.policy_kwargs is None else component.policy_kwargs
    return policy_class, {**kwargs_of_the_set(kwargs, policy_class), **chosen}


def _with_layers(policy_class: type[BasePolicy], dataset: SyntheticDataset, kwargs: Kwargs, template: Network) -> BasePolicy:
    """A policy with drawn hidden layers: by its arguments where they can say them, which layer norms they cannot."""
    layers = [module for module in template.latent.modules() if not list(module.children())]
    widths = [layer.out_features for layer in layers if isinstance(layer, nn.Linear)]
    if not any(isinstance(layer, nn.LayerNorm) for layer in layers):
        activation = next((type(layer) for layer in layers if not isinstance(layer, nn.Linear)), nn.Tanh)
        return build_policy(policy_class, dataset, {**kwargs, "net_arch": widths, "activation_fn": activation}, seed=0)
    policy = cast(ActorCriticPolicy, build_policy(policy_class, dataset, {**kwargs, "net_arch": []}, seed=0))
    head = cast(nn.Linear, template.head)
    with th.random.fork_rng(devices=[]):  # values are written later
        policy.mlp_extractor.policy_net = nn.Sequential(*[_like(layer) for layer in layers])
        policy.mlp_extractor.latent_dim_pi = widths[-1]
        policy.action_net = nn.Linear(widths[-1], head.out_features)
    return policy


def _like(layer: nn.Module) -> nn.Module:
    """A layer of the same kind and size."""
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features, layer.out_features)
    return nn.LayerNorm(layer.normalized_shape) if isinstance(layer, nn.LayerNorm) else type(layer)()
