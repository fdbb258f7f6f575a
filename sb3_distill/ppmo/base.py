"""What PPMO holds and how it is set up, saved and loaded; what it does is in ``ppmo.py``."""

import copy
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch as th
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.preprocessing import preprocess_obs
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.common.vec_env import VecEnv

from sb3_distill.dataset.start import start_from
from sb3_distill.environments.make import as_vec_env
from sb3_distill.environments.random_rollout import random_rollout
from sb3_distill.errors import ArgumentError
from sb3_distill.learners.distribution import LearnerDistribution
from sb3_distill.learners.population import Learners
from sb3_distill.networks.action_distribution import ActionDistribution
from sb3_distill.networks.anatomy import actor_of, parameters_in_use, statistics_of
from sb3_distill.networks.encoder import BoundEncoder, Encoder, holds_features, kinds_of, split
from sb3_distill.networks.policy_aliases import POLICIES
from sb3_distill.networks.stacked import StackedNetwork, stack_parameters, write_parameters
from sb3_distill.ppmo.arguments import check_arguments, schedule, takes_argument
from sb3_distill.ppmo.buffers import DictLearnerRolloutBuffer, LearnerRolloutBuffer
from sb3_distill.ppmo.critic import Critic, evaluates_plainly
from sb3_distill.ppmo.dataset_setup import DatasetOwner
from sb3_distill.ppmo.precision import Precision
from sb3_distill.ppmo.sizes import resolve_batch_size, resolve_n_learners
from sb3_distill.spaces.checks import check_action_space, check_observation_space
from sb3_distill.spaces.sizes import preprocessed_shape


class Seen(NamedTuple):
    """What learners make of a batch of observations."""

    outputs: th.Tensor
    """Of their last layers, ``(b, n_outputs)``."""
    latent: th.Tensor | None
    """Inputs of their last layers ``(b, h)``, as gSDE needs them, else ``None``."""
    features: th.Tensor | None
    """Outputs of the features extractor ``(b, n)`` that the critic shares, else ``None``."""

    @classmethod
    def join(cls, parts: "list[Seen]") -> "Seen":
        """Several batches as one."""
        return cls(*(None if column[0] is None else th.cat(column) for column in zip(*parts, strict=True)))  # type: ignore[arg-type]


class DistillationAlgorithm(DatasetOwner):
    """
    State of ``PPMO``: dataset, learners, policy, optimizers, and their set-up from the constructor's arguments.

    ``_setup_model`` builds everything that can be derived from these, with or without an environment, and again on load.
    """

    learners: Learners

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = POLICIES

    @staticmethod
    def _wrap_env(env: GymEnv, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        check_observation_space(getattr(env, "single_observation_space", env.observation_space))
        return as_vec_env(env, verbose, monitor_wrapper)

    @classmethod
    def load(cls, path: Any, env: GymEnv | None = None, *args: Any, **kwargs: Any) -> Any:
        """
        As SB3's.

        :raises ValueError: if the environment has other spaces than the one that the model was saved with
        """
        try:
            return super().load(path, env, *args, **kwargs)
        except ValueError as error:
            if "spaces do not match" not in str(error):
                raise
            raise ArgumentError(
                f"{path} was saved with another environment ({error}): load it with its own, or distil this one anew"
            ) from error

    def _get_policy_from_name(self, policy_name: str) -> type[BasePolicy]:
        if policy_name not in self.policy_aliases:
            known = ", ".join(self.policy_aliases)
            raise ArgumentError(f"Policy {policy_name} unknown; `policy` must be one of {known}, or an SB3 policy class")
        return super()._get_policy_from_name(policy_name)

    def _setup_lr_schedule(self) -> None:
        self.lr_schedule = schedule(self.learning_rate)

    def _setup_model(self) -> None:
        check_arguments(self)
        check_action_space(self.action_space)
        # A loaded model brings its generator along; what set-up draws from it is given back.
        loaded: th.Generator | None = getattr(self, "_generator", None)
        n_envs = None if self.env is None and loaded is None else self.n_envs
        self._n_learners = resolve_n_learners(self.n_learners, n_envs)
        self._batch_size = self._resolve_batch_size(n_envs)
        if self.rollout_buffer_class is None:
            is_dict = isinstance(self.observation_space, spaces.Dict)
            self.rollout_buffer_class = DictLearnerRolloutBuffer if is_dict else LearnerRolloutBuffer
        state = None if loaded is None else loaded.get_state()
        policy_kwargs = self.policy_kwargs
        if can_share := takes_argument(self.policy_class, "share_features_extractor"):
            # The actor's part is taught, the critic's is trained, unless the encoder holds it.
            self.policy_kwargs = {**policy_kwargs, "share_features_extractor": False}
        super()._setup_model()
        self.policy_kwargs = policy_kwargs
        if loaded is None:
            self._generator = th.Generator().manual_seed(int(th.randint(2**62, ())) if self.seed is None else self.seed)

        self.rollout_buffer.n_learners = self._n_learners  # type: ignore[attr-defined]
        self.rollout_buffer.generator = self._generator  # type: ignore[attr-defined]
        self._actions = ActionDistribution(self.action_space, self.policy.action_dist)
        self._setup_learners(can_share)
        if can_share:
            self._keep_constructor_parameters()
        self._setup_dataset()
        self._teach_policy()
        if state is not None:
            self._generator.set_state(state)

    def _resolve_batch_size(self, n_envs: int | None) -> int:
        return resolve_batch_size(self.batch_size, n_envs, self.n_steps, self._n_learners, self.normalize_advantage)

    def _setup_learn(self, *args: Any, **kwargs: Any) -> tuple[int, BaseCallback]:
        if self.env is None:
            raise ArgumentError(
                "there is no environment to learn from: call `set_env(env)`, or load with `PPMO.load(path, env)`"
            )
        is_fresh = self.num_timesteps == 0 and self._n_updates == 0
        draws = self.dataset_init == "observations" and not self._goes_on
        # With the layers that an encoder gave back, outputs may be of any size: true observations tell.
        if is_fresh and (draws or (self._tempers and self.encoder_from is not None)):
            n_steps = max(self.n_steps, -(-self.dataset.n_instances // self.n_envs))
            visited = random_rollout(self.env, n_steps)
            if draws:
                start_from(self.dataset, visited, self._generator, self.policy.normalize_images)
            self._update_info(n_steps)
            self._temper(visited)
        return super()._setup_learn(*args, **kwargs)

    def _keep_constructor_parameters(self) -> None:
        # SB3's policies forget `share_features_extractor` when they are saved, so a policy that shares nothing would be
        # rebuilt as one that does.
        parameters = self.policy._get_constructor_parameters()
        parameters["share_features_extractor"] = self.policy.share_features_extractor
        object.__setattr__(self.policy, "_get_constructor_parameters", partial(dict, parameters))

    def _setup_learners(self, can_share: bool) -> None:
        if hasattr(self.policy, "lstm_actor"):
            raise ArgumentError(
                "recurrent policies are not supported: an action must follow from one observation; stack frames"
            )
        actor = self._actor = actor_of(self.policy)
        if frozen := [name for name, value in actor.named_parameters() if not value.requires_grad]:
            raise ArgumentError(
                f"`{frozen[0]}` of the actor is frozen, but learners are drawn anew and taught in all layers: compute fixed "
                "features in a wrapper of the environment"
            )
        self.policy.set_training_mode(False)
        self._encoder_source = None
        self._given_dataset = self._take_given_dataset(actor)
        layers, rest = split(actor, self.encoder_layers)
        wants_share = can_share and self.policy_kwargs.get("share_features_extractor", True)
        self._shares_features = wants_share and evaluates_plainly(self.policy) and holds_features(layers, actor)
        if self._shares_features:  # as in SB3
            self.policy.vf_features_extractor = self.policy.pi_features_extractor
            self.policy.share_features_extractor = True
        self._policy_encoder, self._policy_rest = layers, None if rest is None else StackedNetwork(rest)
        if (source := self._given_dataset or self._encoder_source) is not None:
            self._first_encoder = source.encoder
        else:
            drawn = None if layers is None else Encoder(dict(layers.named_parameters()), self.encoder_layers, kinds_of(layers))
            self._first_encoder = drawn
        # `policy` acts as one fixed draw, re-taught as the dataset changes; its initial values are part of the model.
        self.initial_actor = copy.deepcopy(actor)
        shape = preprocessed_shape(self.observation_space)
        zeros = partial(th.zeros, device=self.device)
        example: Any = {k: zeros(1, *s) for k, s in shape.items()} if isinstance(shape, dict) else zeros(1, *shape)
        in_use = {id(actor.get_parameter(name)) for name in parameters_in_use(actor, example)}
        self._taught_names = [] if rest is None else [name for name, value in rest.named_parameters() if id(value) in in_use]
        self._precision = Precision(self.autocast_dtype, self.device)
        self._critic = Critic(self.policy, in_use, self._rates()["critic"], self._precision)
        self._latent_dim = int(self.policy.action_net.in_features) if self._actions.state_dependent else None  # type: ignore[arg-type]
        self._statistics = statistics_of(actor)
        self._sampler = LearnerDistribution.parse(self.learner_distribution).bind(
            self.policy_class,
            self._learner_kwargs(),
            self.observation_space,
            self.action_space,
            self.device,
            self._statistics,
            self._first_encoder,
        )
        if rest is None and self._latent_dim is not None:
            raise ArgumentError("gSDE needs the inputs of a learner's last layer: leave it out of the encoder")

    def _teach_policy(self) -> None:
        """Make ``policy`` what the dataset teaches its fixed draw."""
        initial = stack_parameters([self.initial_actor])
        with th.no_grad():
            if self.dataset.encoder is not None and self._policy_encoder is not None:
                self.dataset.encoder.write_to(self._policy_encoder)
            if (rest := self._policy_rest) is not None:
                own = {name: initial[name] for name, _ in rest.template.named_parameters()}
                params = self.dataset.teach(Learners([(rest, own)], encoder_layers=self._policy_encoder)).groups[0].params
                write_parameters(rest.template, {name: params[name] for name in self._taught_names})
            if self.dataset.log_input_scale is not None:  # so that it takes what the environments show
                first: Any = self._actor.first_layer()
                first.weight.mul_(self.dataset.input_scale)
            if self.dataset.log_std is not None:
                self.policy.log_std.copy_(self._actions.expand_log_std(self.dataset.log_std, self._latent_dim or 0))
        if self.use_sde:
            self.policy.reset_noise(self.n_envs)

    @th.no_grad()
    def _update_statistics(self, observations: Any) -> None:
        """
        Running statistics of batch norms follow the observations through the policy's actor; all learners share them.
        Learners themselves act and learn with these statistics fixed, as a taught policy will.
        """
        if not self._statistics:
            return
        norms = [module for module in self._actor.modules() if getattr(module, "track_running_stats", False)]
        for norm in norms:
            norm.train()
        self._actor(preprocess_obs(observations, self.observation_space, normalize_images=self.policy.normalize_images))
        for norm in norms:
            norm.eval()

    def _see(self, learners: Learners, observations: Any) -> Seen:
        """Taught learners look at observations as they come from the environments or the buffer."""
        inputs = self._precision.preprocess(observations, self.observation_space, self.policy.normalize_images)
        if self.dataset.log_input_scale is not None:
            inputs = inputs * self.dataset.input_scale
        features = None
        with self._precision():
            if self._shares_features:
                assert isinstance(learners.encode, BoundEncoder)
                extract, behind = learners.encode.parts
                inputs = features = extract(inputs)
                learners = Learners(learners.groups, behind, learners.n_learners)
            outputs, latent = learners.outputs(inputs, self._actions.state_dependent)
        return Seen(outputs.float(), None if latent is None else latent.float(), features)

    def _rescue(self) -> str:
        folder = self.logger.get_dir()
        if folder is None:
            return ""
        path = Path(folder) / "last_finite_dataset.safetensors"
        self.dataset.save(path)
        return f" and was written to {path}"

    def _excluded_save_params(self) -> list[str]:
        derived = ("learners", "_sampler", "_critic", "_actions", "_statistics", "_clipped_apart")
        networks = (
            "_actor",
            "_policy_encoder",
            "_policy_rest",
            "_given_dataset",
            "_first_encoder",
            "_encoder_source",
            "_precision",
        )
        numbers = ("_taught_names", "_n_learners", "_batch_size", "_latent_dim")
        return [*super()._excluded_save_params(), *derived, *networks, *numbers]

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        return ["policy", "policy.optimizer", "dataset", "dataset_optimizer", "initial_actor"], []
