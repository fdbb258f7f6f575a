"""What set-up makes of a policy, settings and a start."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy

from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.errors import ArgumentError
from sb3_distill.inner_loop.loop import InnerLoop
from sb3_distill.learners.distribution import LearnerDistribution
from sb3_distill.learners.population import Learners
from sb3_distill.networks.action_distribution import make_action_distribution
from sb3_distill.networks.anatomy import Network, actor_of, needs_of
from sb3_distill.networks.encoder import Encoder, holds_features
from sb3_distill.networks.precision import Precision
from sb3_distill.online.critic import Critic, evaluates_plainly
from sb3_distill.online.normalizing.choice import Normalised
from sb3_distill.online.normalizing.normalizer import Normalizer
from sb3_distill.online.normalizing.twin import show_raw, twin_of
from sb3_distill.outer_loop.combination import check_combine
from sb3_distill.outer_loop.distiller import Companion, Distiller
from sb3_distill.outer_loop.regularization import Regularization, Regularizers
from sb3_distill.outer_loop.regularizers import disagreement
from sb3_distill.outer_loop.settings import Settings
from sb3_distill.outer_loop.start import Start, record_as_drawn, starting_dataset
from sb3_distill.teaching.acting import Actor
from sb3_distill.teaching.policy_actor import PolicyActor
from sb3_distill.teaching.teach import check_squashing
from sb3_distill.typing import Observations


@dataclass
class Parts:
    """
    All that is made of arguments and spaces, and made anew on load: the one object that a model zip leaves out.

    :param distiller: draws learners, teaches them, and steps the dataset
    :param actor: how taught learners act in the environments
    :param policy_actor: the learner that ``policy`` acts as
    :param critic: the persistent critic
    :param policy: the policy that holds actor and critic: ``model.policy``, or its twin that takes normalised observations
    :param normalizer: statistics of what the model normalises by itself
    :param latent_dim: width of the input of the last layer, under gSDE
    :param learners: initial learners of the current iteration
    :param batch_size: transitions of a minibatch
    :param batch_size_for: the arguments from which ``batch_size`` follows
    """

    distiller: Distiller
    actor: Actor
    policy_actor: PolicyActor
    critic: Critic
    policy: ActorCriticPolicy
    normalizer: Normalizer
    latent_dim: int | None
    learners: Learners = field(default_factory=lambda: Learners([]))
    batch_size: int = 0
    batch_size_for: object = None

    def with_agreement(
        self, loss: th.Tensor, learners: Learners, observations: Observations, log: dict[str, list[th.Tensor]]
    ) -> th.Tensor:
        """
        :param loss: the outer loss of a minibatch
        :param learners: taught learners
        :param observations: those of the minibatch, not yet preprocessed
        :param log: gets the disagreement of the learners
        :return: the loss with the regulariser ``agreement``
        """
        dataset, size = self.distiller.dataset, self.distiller.regularization.sizes.agreement
        if not size:
            return loss
        same = self.actor.on_same_states(learners, observations)
        apart = disagreement(same, dataset.info.action_space, dataset.log_std)
        log.setdefault("disagreement", []).append(apart.detach())
        return loss + size * apart

    @th.no_grad()
    def teach_policy(self, policy: ActorCriticPolicy) -> None:
        """
        :param policy: ``model.policy``, which becomes what the dataset teaches its fixed draw
        """
        dataset = self.distiller.dataset
        self.policy_actor.teach(dataset)
        if dataset.log_std is not None:
            distribution = self.actor.distribution
            self.policy.log_std.copy_(distribution.expand_log_std(dataset.log_std, self.latent_dim or 0))
        if self.policy is not policy:
            show_raw(self.policy, policy, dataset.info.normalization)


class HasParts:
    """A model that holds its parts."""

    parts: Parts

    @property
    def distiller(self) -> Distiller:
        """Draws learners, teaches them, and steps the dataset."""
        return self.parts.distiller

    @property
    def dataset(self) -> SyntheticDataset:
        """The dataset that is learned."""
        return self.parts.distiller.dataset

    @property
    def dataset_optimizer(self) -> th.optim.Optimizer:
        """The optimizer of the dataset."""
        return self.parts.distiller.optimizer

    @property
    def initial_actor(self) -> Network:
        """The initial parameters of the learner that ``policy`` acts as."""
        return self.parts.policy_actor.initial

    @property
    def learners(self) -> Learners:
        """The initial learners of the current iteration."""
        return self.parts.learners

    @property
    def critic(self) -> Critic:
        """The persistent critic."""
        return self.parts.critic

    @property
    def normalizer(self) -> Normalizer:
        """Statistics of what the model normalises by itself."""
        return self.parts.normalizer

    @property
    def normalized_policy(self) -> ActorCriticPolicy:
        """What ``policy`` is before normalisation is folded into its first layers; ``policy`` itself without one."""
        return self.parts.policy

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        weighs_components = self.distiller.regularization.sizes.group_dro > 0
        weights = ["distiller.regularization.log_weights"] if weighs_components else []
        names = ["policy", "policy.optimizer", "dataset", "dataset_optimizer", "initial_actor"]
        names += ["normalizer"] if self.normalizer.is_on else []
        names += ["normalized_policy"] if self.normalizer.obs_rms is not None else []
        return names, weights


@dataclass(frozen=True)
class Recipe:
    """
    What ``build_parts`` needs besides a policy.

    :param settings: resolved settings
    :param start: what the run goes on from
    :param info: description of the dataset in this run
    :param inner_loop: how learners are trained
    :param policy_class: policy of the learners
    :param policy_kwargs: its arguments
    :param sizes: step sizes by group of parameters
    :param weight_decay: decoupled weight decay of the synthetic observations
    :param learns_input_scale: whether the numbers of an observation get learned weights
    :param shares_features: whether the critic may share a features extractor that is the encoder's
    """

    settings: Settings
    start: Start
    info: DatasetInfo
    inner_loop: InnerLoop
    policy_class: type[BasePolicy]
    policy_kwargs: dict[str, Any]
    sizes: dict[str, float]
    weight_decay: float
    learns_input_scale: bool
    shares_features: bool


def actor_to_teach(policy: ActorCriticPolicy) -> Network:
    """
    :param policy: the policy of the learners
    :return: its actor
    :raises ValueError: for a recurrent policy
    """
    if needs_of(policy):
        raise ArgumentError("recurrent policies are not supported: an action must follow from one observation; stack frames")
    return actor_of(policy)


def build_parts(policy: ActorCriticPolicy, actor: Network, recipe: Recipe, generator: th.Generator) -> Parts:
    """
    :param policy: a policy that shares no features; its actor, or that of its twin, becomes a learner, its critic that of the
        run
    :param actor: its actor, see ``networks.anatomy.actor_of``
    :param recipe: what the run is to be
    :param generator: source of all randomness (CPU)
    :raises ValueError: if policy, settings and start do not fit
    """
    settings, start, device = recipe.settings, recipe.start, policy.device
    policy.set_training_mode(False)
    shown, normalizer = policy, Normalised.parse(settings.normalize or False).normalizer(policy)
    if normalizer.obs_rms is not None:
        policy = twin_of(shown)
        actor = actor_of(policy)
    policy_actor = PolicyActor(policy, actor, settings.encoder_layers)
    layers = policy_actor.layers
    shares_features = recipe.shares_features and evaluates_plainly(policy) and holds_features(layers, actor)
    if shares_features:  # as in SB3
        policy.vf_features_extractor = policy.pi_features_extractor
        policy.share_features_extractor = True
    encoder = start.encoder
    if start.source is None and layers is not None:
        encoder = Encoder.of(layers, settings.encoder_layers)
    distribution = make_action_distribution(policy.action_space, policy.action_dist)
    if distribution.state_dependent and policy_actor.rest is None:
        raise ArgumentError("gSDE needs the inputs of a learner's last layer: leave it out of the encoder")
    check_combine(settings.combine, ("gSDE", distribution.state_dependent), ("an encoder", encoder is not None))
    precision = Precision(settings.autocast_dtype, device)
    critic = Critic(policy, policy_actor.parameter_ids, recipe.sizes["critic"], precision)
    shown.optimizer = policy.optimizer
    sampler = LearnerDistribution.parse(settings.learner_distribution).bind(
        recipe.policy_class,
        recipe.policy_kwargs,
        policy.observation_space,
        policy.action_space,
        device,
        policy_actor.statistics,
        encoder,
    )
    dataset = _dataset(policy, policy_actor, recipe, encoder, generator)
    if policy_actor.rest is not None:
        record_as_drawn(dataset, policy_actor.rest.template)
    regularization = Regularization(Regularizers.parse(settings.regularizers), len(sampler.components))
    regularization.check(dataset.inner_loop, sampler, distribution.state_dependent)
    distiller = Distiller(
        dataset,
        sampler,
        settings.n_learners or 1,
        generator,
        recipe.sizes,
        recipe.weight_decay,
        [Companion(critic.parameters, policy.optimizer)],
        regularization,
    )
    acting = Actor(
        dataset, distribution, policy.normalize_images, precision, is_normalized=True, shares_features=shares_features,
        combine=settings.combine,
    )  # fmt: skip
    latent_dim = int(policy.action_net.in_features) if distribution.state_dependent else None  # type: ignore[arg-type]
    return Parts(distiller, acting, policy_actor, critic, policy, normalizer, latent_dim)


def _dataset(
    policy: ActorCriticPolicy, policy_actor: PolicyActor, recipe: Recipe, encoder: Encoder | None, generator: th.Generator
) -> SyntheticDataset:
    start = recipe.start
    if start.source is not None:
        is_trained = start.source.encoder is not None
        start.source.check_spaces(policy.observation_space, policy.action_space, in_order=is_trained)
        check_squashing(start.source, policy, is_continued=True)
        policy_actor.take_statistics_of(start.source)
    dataset = starting_dataset(
        start,
        recipe.info,
        recipe.inner_loop,
        recipe.settings.n_instances or 1,
        generator,
        getattr(policy, "log_std_init", 0.0),
    )
    dataset.encoder = encoder
    if recipe.learns_input_scale and dataset.log_input_scale is None:
        _check_scalable(policy, policy_actor.network)
        dataset.learn_input_scale()
    dataset.to(policy.device)
    dataset.statistics = policy_actor.statistics
    return dataset


def _check_scalable(policy: ActorCriticPolicy, actor: Network) -> None:
    if isinstance(policy.observation_space, spaces.Dict) or not isinstance(actor.first_layer(), th.nn.Linear):
        raise ArgumentError(
            f"`input_scale_learning_rate` is for flat observations that enter a linear layer, not {policy.observation_space}"
        )


def remember_sharing(policy: ActorCriticPolicy) -> None:
    """
    SB3's policies forget ``share_features_extractor`` when they are saved, so that a policy that shares nothing would be
    rebuilt as one that does. A subclass would not do: a zip names the policy's class.

    :param policy: is made to remember
    """
    parameters = policy._get_constructor_parameters()
    parameters["share_features_extractor"] = policy.share_features_extractor
    object.__setattr__(policy, "_get_constructor_parameters", partial(dict, parameters))
