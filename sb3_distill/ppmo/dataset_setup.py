"""The dataset of an algorithm: its arguments, where it comes from, and the optimizer that changes it."""

import copy
import warnings
from typing import Any, ClassVar

import torch as th
from gymnasium import spaces
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import GymEnv, Schedule

from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.dataset.normalization import Normalization
from sb3_distill.dataset.start import draw_dataset, temper
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.environments.origin import env_origin
from sb3_distill.environments.plugins import import_plugin
from sb3_distill.environments.vec_normalize import (
    continue_return_variance,
    continue_statistics,
    normalization_of,
    return_variance_of,
)
from sb3_distill.environments.wrappers import recorded_wrappers
from sb3_distill.errors import ArgumentError
from sb3_distill.inner_loop.loop import INNER_LOOPS, InnerLoop, make_inner_loop
from sb3_distill.learners.distribution import LearnerDistribution, LearnerSampler
from sb3_distill.networks.anatomy import Network, statistics_of
from sb3_distill.networks.encoder import Encoder, encoder_levels
from sb3_distill.networks.policy_kwargs import policy_kwargs_to_json
from sb3_distill.ppmo.arguments import schedule
from sb3_distill.ppmo.critic import Critic
from sb3_distill.ppmo.sizes import default_inner_rate, resolve_n_instances
from sb3_distill.spaces.checks import SUPPORTED_ACTION_SPACES, sees_images

FOLLOWING_RATES = {"labels": 10.0, "rates": 5.0, "log_std": 1.0, "critic": 0.5, "encoder": 0.05, "input_scale": 0.0}
"""Step sizes that are not given, in units of ``learning_rate``."""


class DatasetOwner(OnPolicyAlgorithm):
    """An algorithm that learns a synthetic dataset."""

    outer_loss: ClassVar[str] = "ppo"
    dataset: SyntheticDataset
    _n_saved: int
    _goes_on: bool
    _n_learners: int
    _sampler: LearnerSampler
    _generator: th.Generator
    _statistics: dict[str, th.Tensor]
    _actor: Network
    _critic: Critic
    _clipped_apart: list[list[th.Tensor]]
    _given_dataset: SyntheticDataset | None
    _first_encoder: Encoder | None
    _encoder_source: SyntheticDataset | None
    initial_actor: Any

    def __init__(
        self,
        policy: str | type[ActorCriticPolicy],
        env: GymEnv | str | None,
        *,
        n_instances: int | None = None,
        n_learners: int | None = None,
        learner_distribution: Any = None,
        inner_loop: str = "sgd",
        inner_learning_rate: Any = None,
        inner_rate_per_role: bool = False,
        inner_rate_relative: bool | None = None,
        n_inner_steps: int = 1,
        initial_dataset: Any = None,
        dataset_init: str = "normal",
        encoder_layers: int = 0,
        encoder_from: Any = None,
        labels_learning_rate: float | Schedule | None = None,
        rates_learning_rate: float | Schedule | None = None,
        log_std_learning_rate: float | Schedule | None = None,
        critic_learning_rate: float | Schedule | None,
        encoder_learning_rate: float | Schedule | None = None,
        input_scale_learning_rate: float | Schedule | None = None,
        autocast_dtype: str | None = None,
        weight_decay: float,
        batch_size: int | None,
        normalize_advantage: bool,
        **kwargs: Any,
    ) -> None:
        if isinstance(env, str):
            import_plugin(env)
        super().__init__(
            policy,
            env,  # type: ignore[arg-type]
            _init_setup_model=False,
            supported_action_spaces=SUPPORTED_ACTION_SPACES,
            **kwargs,
        )
        self.n_instances = n_instances
        self.n_learners = n_learners
        self.learner_distribution = learner_distribution
        self.inner_loop = inner_loop
        self.inner_learning_rate = inner_learning_rate
        self.n_inner_steps = n_inner_steps
        self.inner_rate_per_role = inner_rate_per_role
        self.inner_rate_relative = inner_rate_relative
        self.initial_dataset = initial_dataset
        self.dataset_init = dataset_init
        self.encoder_layers = encoder_layers
        self.encoder_from = encoder_from
        self.labels_learning_rate = labels_learning_rate
        self.rates_learning_rate = rates_learning_rate
        self.log_std_learning_rate = log_std_learning_rate
        self.critic_learning_rate = critic_learning_rate
        self.encoder_learning_rate = encoder_learning_rate
        self.input_scale_learning_rate = input_scale_learning_rate
        self.autocast_dtype = autocast_dtype
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.normalize_advantage = normalize_advantage

    def _setup_dataset(self) -> None:
        info: DatasetInfo | None = getattr(self, "dataset_info", None)  # a loaded model brings it along
        is_new = info is None and self._given_dataset is None
        if info is None:
            self._goes_on = self._given_dataset is not None
        if self._given_dataset is not None:
            self._continue_dataset(self._given_dataset)
            info = self.dataset.info
        else:
            loop = self._configured_inner_loop() if info is None else make_inner_loop(**info.inner_loop)
            log_std_init = getattr(self.policy, "log_std_init", 0.0)
            if info is None:
                info = self._describe(loop)
            else:
                self._check_loaded(info)
            self.dataset = draw_dataset(
                resolve_n_instances(self.n_instances, self.action_space), loop, info, self._generator, log_std_init
            )
            self.dataset.encoder = self._first_encoder
            if self._encoder_source is not None:
                self._continue_source(info, self._encoder_source)
        if info.normalization is not None:
            self._continue_normalization(info.normalization)
        continue_return_variance(self._vec_normalize_env, info.return_variance)
        self.dataset_info, self.n_instances, self._n_saved = info, self.dataset.n_instances, self.dataset.n_instances
        if self.input_scale_learning_rate is not None and self.dataset.log_input_scale is None:
            self._check_scalable()
            self.dataset.log_input_scale = th.nn.Parameter(th.zeros(self.observation_space.shape or ()))
        self.dataset.to(self.device)
        if is_new and self.dataset_init != "observations":  # else observations are still to come
            self._temper()
        self.dataset.statistics = self._statistics
        groups: dict[str, list[th.Tensor]] = {
            "learning": [*self.dataset.observation_parameters()],
            "labels": [self.dataset.labels],
            "rates": list(self.dataset.learned.values()),
            "log_std": [] if self.dataset.log_std is None else [self.dataset.log_std],
            "input_scale": [] if self.dataset.log_input_scale is None else [self.dataset.log_input_scale],
            "encoder": [] if self.dataset.encoder is None else list(self.dataset.encoder.parameters()),
        }
        rates = self._rates()
        decay = {"learning": self.weight_decay}
        self._clipped_apart = [
            [parameter for name, own in groups.items() if name != "encoder" for parameter in own],
            groups["encoder"],
            [*self._critic.parameters],
        ]
        self.dataset_optimizer = th.optim.AdamW(
            [
                {"params": params, "lr": rates[name], "name": name, "weight_decay": decay.get(name, 0.0)}
                for name, params in groups.items()
                if params
            ],
            eps=1e-5,
            fused=True,
        )

    def _check_scalable(self) -> None:
        """Weights of observations travel with their statistics."""
        if isinstance(self.observation_space, spaces.Dict) or not isinstance(self._actor.first_layer(), th.nn.Linear):
            raise ArgumentError(
                f"`input_scale_learning_rate` is for flat observations that enter a linear layer, not {self.observation_space}"
            )
        if self.env is not None and normalization_of(self.env) is None:
            raise ArgumentError(
                "`input_scale_learning_rate` needs normalised observations: put the environment into a VecNormalize"
            )

    @property
    def _tempers(self) -> bool:
        """Images make for large outputs; not so where the user says how large the steps are."""
        return self.inner_learning_rate is None and sees_images(self.observation_space)

    def _temper(self, visited: list[Any] | None = None) -> None:
        if self._tempers:
            some = self._sampler.sample(self._n_learners, th.Generator().manual_seed(0))
            temper(self.dataset, some, visited, self.policy.normalize_images)

    def _check_loaded(self, info: DatasetInfo) -> None:
        """A loaded dataset is what it is, and is told where it is learned now."""
        if self.n_instances != self._n_saved:
            raise ArgumentError(
                f"`n_instances` cannot change from {self._n_saved} to {self.n_instances} when a model is loaded: "
                "start a new one"
            )
        was_given = self.initial_dataset is not None or self.encoder_from is not None
        if not was_given and self._configured_inner_loop().settings() != info.inner_loop:
            raise ArgumentError("the inner loop cannot change when a model is loaded: start a new one")
        if self.encoder_layers != info.encoder_layers:
            raise ArgumentError(
                f"`encoder_layers` cannot change from {info.encoder_layers} to {self.encoder_layers} when a model is loaded: "
                "start a new one with `encoder_from`"
            )
        self._say_where(info)

    def _say_where(self, info: DatasetInfo) -> None:
        """Environment and learners of this run."""
        info.learner_distribution = LearnerDistribution.parse(self.learner_distribution).to_json()
        if self.env is not None:
            info.env_id, info.env_kwargs = env_origin(self.env)
            info.wrappers = recorded_wrappers(self.env)

    def _configured_inner_loop(self) -> InnerLoop:
        kind = INNER_LOOPS.get(self.inner_loop)
        settings = {} if kind is None else {own: getattr(self, given) for given, own in kind.arguments.items()}
        if settings.get("relative", False) is None:
            settings["relative"] = sees_images(self.observation_space)
        if settings.get("learning_rate", 0.0) is None:
            settings["learning_rate"] = default_inner_rate(self.action_space, settings["relative"])
        loop = make_inner_loop(self.inner_loop, **settings)
        if self.n_inner_steps != 1 and "n_inner_steps" not in loop.arguments:
            raise ArgumentError(f"`n_inner_steps` must be 1 for the inner loop {self.inner_loop!r}, got {self.n_inner_steps}")
        return loop

    def _describe(self, loop: InnerLoop) -> DatasetInfo:
        names = [name for name, policy in self.policy_aliases.items() if policy is self.policy_class]
        policy_kwargs = policy_kwargs_to_json(self._learner_kwargs())
        info = DatasetInfo(
            self.observation_space,
            self.action_space,
            policy=names[0] if names and policy_kwargs is not None else None,
            policy_kwargs=policy_kwargs or {},
            inner_loop=loop.settings(),
            encoder_layers=self.encoder_layers,
            loss=self.outer_loss,
            seed=self.seed,
        )
        self._say_where(info)
        return info

    def _take_given_dataset(self, actor: Network) -> SyntheticDataset | None:
        """The dataset to go on from, if any; ``encoder_from`` gives away the last layers of its encoder."""
        is_loaded = hasattr(self, "dataset_info")
        given = self.initial_dataset if self.encoder_from is None else self.encoder_from
        if is_loaded or given is None:
            return None
        if self.initial_dataset is not None and self.encoder_from is not None:
            raise ArgumentError("`initial_dataset` and `encoder_from` exclude each other: both say where to start from")
        dataset = copy.deepcopy(given) if isinstance(given, SyntheticDataset) else SyntheticDataset.load(given)
        level = dataset.encoder_layers
        if self.encoder_from is not None:
            if dataset.encoder is None or not isinstance(self.encoder_layers, int) or level <= self.encoder_layers:
                raise ArgumentError(
                    f"`encoder_from` must have more layers in its encoder than encoder_layers={self.encoder_layers}, it has "
                    f"{level}" + ("; go on from it with `initial_dataset`" if level == self.encoder_layers else "")
                )
            dataset.encoder = dataset.encoder.first(self.encoder_layers, actor)
            if level == encoder_levels(actor):  # then it has never taught anything: its labels and rates mean nothing
                self._encoder_source = dataset
                return None
        elif self.encoder_layers not in (0, level):
            raise ArgumentError(
                f"`initial_dataset` has {level} layers in its encoder, not encoder_layers={self.encoder_layers}"
                + (": start from it with `encoder_from`" if level > self.encoder_layers else "")
            )
        else:
            self.encoder_layers = level
        return dataset

    def _continue_source(self, info: DatasetInfo, source: SyntheticDataset) -> None:
        """What a new dataset takes over with an encoder."""
        source.check_spaces(self.observation_space, self.action_space)
        self._take_statistics_of(source)
        info.go_on_from(source.info)
        if self.dataset.log_std is not None and source.log_std is not None:
            self.dataset.log_std.data.copy_(source.log_std)

    def _take_statistics_of(self, dataset: SyntheticDataset) -> None:
        """Values of running statistics (of batch norms), into the tensors that all learners share."""
        for network in (self._actor, self.initial_actor):
            for name, own in statistics_of(network).items():
                known = dataset.statistics.get(name)
                if known is not None and known.shape == own.shape:
                    own.copy_(known)

    def _continue_dataset(self, dataset: SyntheticDataset) -> None:
        """A given dataset becomes this run's."""
        dataset.check_spaces(self.observation_space, self.action_space)
        self._take_statistics_of(dataset)
        own = dataset.info.inner_loop
        given = "initial_dataset" if self.encoder_from is None else "encoder_from"
        if self.inner_loop not in ("sgd", own["name"]) or self.n_inner_steps not in (1, own.get("n_steps")):
            warnings.warn(f"`inner_loop` and `n_inner_steps` are not used: `{given}` brings its own, {own}", stacklevel=2)
        if dataset.info.normalization is None and self.env is not None and normalization_of(self.env) is not None:
            raise ArgumentError(
                "the dataset was made without normalised observations: leave out the VecNormalize, or give it norm_obs=False"
            )
        if self.dataset_init != "normal" and self.encoder_from is None:  # a ladder has it for where it begins
            warnings.warn("`dataset_init` is not used: `initial_dataset` brings its observations", stacklevel=2)
        if self.n_instances not in (None, dataset.n_instances):
            warnings.warn(f"n_instances={self.n_instances} is not used: `{given}` has {dataset.n_instances}", stacklevel=2)
        # It goes on from there under this run's conditions; its scores are no longer true.
        before, dataset.info = dataset.info, self._describe(dataset.inner_loop)
        dataset.info.go_on_from(before)
        self.dataset = dataset

    def _continue_normalization(self, normalization: Normalization) -> None:
        if self.env is not None and self._vec_normalize_env is None:
            raise ArgumentError("the dataset was made with normalised observations: put the environment into a VecNormalize")
        if self._vec_normalize_env is not None:
            continue_statistics(self._vec_normalize_env, normalization)

    def _learner_kwargs(self) -> dict[str, Any]:
        return {**self.policy_kwargs, **({"use_sde": True} if self.use_sde else {})}

    def _rates(self) -> dict[str, float]:
        """Step sizes now; those that are not given follow ``learning_rate``."""
        progress = max(0.0, self._current_progress_remaining)  # the last rollout may overshoot
        main = float(self.lr_schedule(progress))
        rates = {"learning": main}
        for name, factor in FOLLOWING_RATES.items():
            given = getattr(self, f"{name}_learning_rate")
            rates[name] = factor * main if given is None else float(schedule(given)(progress))
        if wrong := [name for name, rate in rates.items() if rate < 0]:
            raise ArgumentError(f"learning rates must not be negative, but that of {wrong[0]} is {rates[wrong[0]]}")
        return rates

    def _update_info(self, n_steps: int) -> None:
        """What the dataset says about itself changes as training goes on: so many steps of each environment more."""
        info = self.dataset.info
        info.timesteps += n_steps * self.n_envs
        if self.env is not None:
            info.normalization = normalization_of(self.env)
            info.return_variance = return_variance_of(self._vec_normalize_env)
        if info.normalization is not None and self.dataset.log_input_scale is not None:
            info.normalization.scale = self.dataset.input_scale.detach().cpu().numpy()
