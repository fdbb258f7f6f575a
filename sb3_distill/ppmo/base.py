"""What PPMO holds and how it is set up, saved and loaded; what it does is in ``ppmo.py``."""

import copy
import warnings
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch as th
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.preprocessing import preprocess_obs
from stable_baselines3.common.type_aliases import GymEnv, Schedule
from stable_baselines3.common.vec_env import VecEnv

from sb3_distill.action_distribution import ActionDistribution
from sb3_distill.dataset import SyntheticDataset
from sb3_distill.dataset_info import DatasetInfo, Normalization, policy_kwargs_to_json
from sb3_distill.dataset_init import draw_dataset, start_from, visit
from sb3_distill.inner_loop import INNER_LOOPS, InnerLoop, make_inner_loop
from sb3_distill.learner_distribution import LearnerDistribution
from sb3_distill.learners import Learners
from sb3_distill.networks import actor_of, parameters_in_use, share_statistics, statistics_of
from sb3_distill.ppmo.arguments import check_arguments, schedule, takes_argument
from sb3_distill.ppmo.buffers import DictLearnerRolloutBuffer, LearnerRolloutBuffer
from sb3_distill.ppmo.critic import Critic
from sb3_distill.ppmo.policies import POLICIES
from sb3_distill.ppmo.sizes import default_inner_rate, resolve_batch_size, resolve_n_instances, resolve_n_learners
from sb3_distill.spaces import SUPPORTED_ACTION_SPACES, check_action_space, check_observation_space, preprocessed_shape
from sb3_distill.stacked import StackedNetwork, stack_parameters, write_parameters
from sb3_distill.vec_env import as_vec_env, continue_statistics, env_origin, import_plugin, normalization_of
from sb3_distill.wrappers import recorded_wrappers

FOLLOWING_RATES = {"labels": 10.0, "rates": 5.0, "log_std": 1.0, "critic": 0.5}
"""Step sizes that are not given, in units of ``learning_rate``."""


class DistillationAlgorithm(OnPolicyAlgorithm):
    """
    State of ``PPMO``: dataset, learners, policy, optimizers, and their set-up from the constructor's arguments.

    ``_setup_model`` builds everything that can be derived from these, with or without an environment, and again on load.
    """

    outer_loss: ClassVar[str] = "ppo"
    _n_saved: int
    dataset: SyntheticDataset
    learners: Learners

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = POLICIES

    def __init__(
        self,
        policy: str | type[ActorCriticPolicy],
        env: GymEnv | str | None,
        *,
        n_instances: int | None,
        n_learners: int | None,
        learner_distribution: Any,
        inner_loop: str,
        inner_learning_rate: Any,
        inner_rate_per_role: bool,
        inner_rate_relative: bool,
        n_inner_steps: int,
        initial_dataset: Any,
        dataset_init: str,
        labels_learning_rate: float | Schedule | None,
        rates_learning_rate: float | Schedule | None,
        log_std_learning_rate: float | Schedule | None,
        critic_learning_rate: float | Schedule | None,
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
        self.labels_learning_rate = labels_learning_rate
        self.rates_learning_rate = rates_learning_rate
        self.log_std_learning_rate = log_std_learning_rate
        self.critic_learning_rate = critic_learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.normalize_advantage = normalize_advantage

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
            raise ValueError(
                f"{path} was saved with another environment ({error}): load it with its own, or distil this one anew"
            ) from error

    def _get_policy_from_name(self, policy_name: str) -> type[BasePolicy]:
        if policy_name not in self.policy_aliases:
            known = ", ".join(self.policy_aliases)
            raise ValueError(f"Policy {policy_name} unknown; `policy` must be one of {known}, or an SB3 policy class")
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
        if takes_argument(self.policy_class, "share_features_extractor"):
            # The actor's part is taught, the critic's is trained.
            self.policy_kwargs = {**policy_kwargs, "share_features_extractor": False}
        super()._setup_model()
        self._keep_constructor_parameters()
        self.policy_kwargs = policy_kwargs
        if loaded is None:
            self._generator = th.Generator().manual_seed(int(th.randint(2**62, ())) if self.seed is None else self.seed)

        self.rollout_buffer.n_learners = self._n_learners  # type: ignore[attr-defined]
        self.rollout_buffer.generator = self._generator  # type: ignore[attr-defined]
        self._actions = ActionDistribution(self.action_space, self.policy.action_dist)
        self._setup_learners()
        self._setup_dataset()
        if state is not None:
            self._generator.set_state(state)

    def _resolve_batch_size(self, n_envs: int | None) -> int:
        return resolve_batch_size(self.batch_size, n_envs, self.n_steps, self._n_learners, self.normalize_advantage)

    def _setup_learn(self, *args: Any, **kwargs: Any) -> tuple[int, BaseCallback]:
        if self.env is None:
            raise ValueError("there is no environment to learn from: call `set_env(env)`, or load with `PPMO.load(path, env)`")
        is_fresh = self.initial_dataset is None and self.num_timesteps == 0 and self._n_updates == 0
        if self.dataset_init == "observations" and is_fresh:
            n_steps = max(self.n_steps, -(-self.dataset.n_instances // self.n_envs))
            start_from(self.dataset, visit(self.env, n_steps), self._generator, self.policy.normalize_images)
            self._update_info(n_steps)
        return super()._setup_learn(*args, **kwargs)

    def _keep_constructor_parameters(self) -> None:
        # SB3's policies forget `share_features_extractor` when they are saved, so a policy that shares nothing would be
        # rebuilt as one that does.
        parameters = self.policy._get_constructor_parameters()
        if "share_features_extractor" in self.policy_kwargs:
            parameters["share_features_extractor"] = False
        object.__setattr__(self.policy, "_get_constructor_parameters", partial(dict, parameters))

    def _setup_learners(self) -> None:
        if hasattr(self.policy, "lstm_actor"):
            raise ValueError("recurrent policies are not supported: an action must follow from one observation; stack frames")
        actor = actor_of(self.policy)
        self._policy_actor = StackedNetwork(actor)
        self.policy.set_training_mode(False)
        # `policy` acts as one fixed draw, re-taught as the dataset changes; its initial values are part of the model.
        self.initial_actor = copy.deepcopy(actor)
        shape = preprocessed_shape(self.observation_space)
        zeros = partial(th.zeros, device=self.device)
        example: Any = {k: zeros(1, *s) for k, s in shape.items()} if isinstance(shape, dict) else zeros(1, *shape)
        self._taught_names = parameters_in_use(actor, example)
        taught = {id(actor.get_parameter(name)) for name in self._taught_names}
        self._critic = Critic(self.policy, taught, self._rates()["critic"])
        self._latent_dim = int(self.policy.action_net.in_features) if self._actions.state_dependent else None  # type: ignore[arg-type]
        self._statistics = statistics_of(actor)
        self._sampler = LearnerDistribution.parse(self.learner_distribution).bind(
            self.policy_class,
            self._learner_kwargs(),
            self.observation_space,
            self.action_space,
            self.device,
            self._statistics,
        )

    def _learner_kwargs(self) -> dict[str, Any]:
        return {**self.policy_kwargs, **({"use_sde": True} if self.use_sde else {})}

    def _setup_dataset(self) -> None:
        info: DatasetInfo | None = getattr(self, "dataset_info", None)  # a loaded model brings it along
        if info is None and self.initial_dataset is not None:
            self.dataset = self._take_initial_dataset()
            info = self.dataset.info
            if self.n_instances not in (None, self.dataset.n_instances):
                warnings.warn(
                    f"n_instances={self.n_instances} is not used: `initial_dataset` has {self.dataset.n_instances}",
                    stacklevel=2,
                )
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
        if info.normalization is not None:
            self._continue_normalization(info.normalization)
        self.dataset_info, self.n_instances, self._n_saved = info, self.dataset.n_instances, self.dataset.n_instances
        self.dataset.to(self.device)
        self.dataset.statistics = self._statistics
        groups = {
            "learning": self.dataset.observation_parameters(),
            "labels": [self.dataset.labels],
            "rates": list(self.dataset.learned.values()),
            "log_std": [] if self.dataset.log_std is None else [self.dataset.log_std],
        }
        rates = self._rates()
        decay = {"learning": self.weight_decay}
        self._dataset_parameters = list(self.dataset.parameters())
        self.dataset_optimizer = th.optim.AdamW(
            [
                {"params": params, "lr": rates[name], "name": name, "weight_decay": decay.get(name, 0.0)}
                for name, params in groups.items()
                if params
            ],
            eps=1e-5,
            fused=True,
        )
        self._teach_policy()

    def _check_loaded(self, info: DatasetInfo) -> None:
        """A loaded dataset is what it is, and is told where it is learned now."""
        if self.n_instances != self._n_saved:
            raise ValueError(
                f"`n_instances` cannot change from {self._n_saved} to {self.n_instances} when a model is loaded: "
                "start a new one"
            )
        if self.initial_dataset is None and self._configured_inner_loop().settings() != info.inner_loop:
            raise ValueError("the inner loop cannot change when a model is loaded: start a new one")
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
        if settings.get("learning_rate", 0.0) is None:
            settings["learning_rate"] = default_inner_rate(self.action_space)
        loop = make_inner_loop(self.inner_loop, **settings)
        if self.n_inner_steps != 1 and "n_inner_steps" not in loop.arguments:
            raise ValueError(f"`n_inner_steps` must be 1 for the inner loop {self.inner_loop!r}, got {self.n_inner_steps}")
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
            loss=self.outer_loss,
            seed=self.seed,
        )
        self._say_where(info)
        return info

    def _take_initial_dataset(self) -> SyntheticDataset:
        given = self.initial_dataset
        dataset = copy.deepcopy(given) if isinstance(given, SyntheticDataset) else SyntheticDataset.load(given)
        share_statistics(self._policy_actor.template, dataset.statistics)
        share_statistics(self.initial_actor, dataset.statistics)
        dataset.check_spaces(self.observation_space, self.action_space)
        own = dataset.info.inner_loop
        if self.inner_loop not in ("sgd", own["name"]) or self.n_inner_steps not in (1, own.get("n_steps")):
            warnings.warn(
                f"`inner_loop` and `n_inner_steps` are not used: `initial_dataset` brings its own, {own}", stacklevel=2
            )
        if dataset.info.normalization is None and self.env is not None and normalization_of(self.env) is not None:
            raise ValueError(
                "the dataset was made without normalised observations: leave out the VecNormalize, or give it norm_obs=False"
            )
        if self.dataset_init != "normal":
            warnings.warn("`dataset_init` is not used: `initial_dataset` brings its observations", stacklevel=2)
        # It goes on from there under this run's conditions; its scores are no longer true.
        before, dataset.info = dataset.info, self._describe(dataset.inner_loop)
        dataset.info.timesteps, dataset.info.normalization = before.timesteps, before.normalization
        return dataset

    def _continue_normalization(self, normalization: Normalization) -> None:
        if self.env is not None and self._vec_normalize_env is None:
            raise ValueError("the dataset was made with normalised observations: put the environment into a VecNormalize")
        if self._vec_normalize_env is not None:
            continue_statistics(self._vec_normalize_env, normalization)

    def _rates(self) -> dict[str, float]:
        """Step sizes now; those that are not given follow ``learning_rate``."""
        progress = max(0.0, self._current_progress_remaining)  # the last rollout may overshoot
        main = float(self.lr_schedule(progress))
        rates = {"learning": main}
        for name, factor in FOLLOWING_RATES.items():
            given = getattr(self, f"{name}_learning_rate")
            rates[name] = factor * main if given is None else float(schedule(given)(progress))
        if wrong := [name for name, rate in rates.items() if rate < 0]:
            raise ValueError(f"learning rates must not be negative, but that of {wrong[0]} is {rates[wrong[0]]}")
        return rates

    def _teach_policy(self) -> None:
        """Make ``policy`` what the dataset teaches its fixed draw."""
        initial = Learners([(self._policy_actor, stack_parameters([self.initial_actor]))])
        with th.no_grad():
            params = self.dataset.teach(initial).groups[0][1]
            write_parameters(self._policy_actor.template, {name: params[name] for name in self._taught_names})
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
        actor = self._policy_actor.template
        norms = [module for module in actor.modules() if getattr(module, "track_running_stats", False)]
        for norm in norms:
            norm.train()
        actor(preprocess_obs(observations, self.observation_space, normalize_images=self.policy.normalize_images))
        for norm in norms:
            norm.eval()

    def _update_info(self, n_steps: int) -> None:
        """What the dataset says about itself changes as training goes on: so many steps of each environment more."""
        info = self.dataset.info
        info.timesteps += n_steps * self.n_envs
        if self.env is not None:
            info.normalization = normalization_of(self.env)

    def _outputs(self, learners: Learners, observations: Any) -> tuple[th.Tensor, th.Tensor | None]:
        """``Learners.outputs`` for observations as they come from the environments or the buffer."""
        inputs = preprocess_obs(observations, self.observation_space, normalize_images=self.policy.normalize_images)
        return learners.outputs(inputs, self._actions.state_dependent)

    def _rescue(self) -> str:
        folder = self.logger.get_dir()
        if folder is None:
            return ""
        path = Path(folder) / "last_finite_dataset.safetensors"
        self.dataset.save(path)
        return f" and was written to {path}"

    def _excluded_save_params(self) -> list[str]:
        derived = ("learners", "_sampler", "_policy_actor", "_critic", "_actions", "_statistics", "_dataset_parameters")
        numbers = ("_taught_names", "_n_learners", "_batch_size", "_latent_dim")
        return [*super()._excluded_save_params(), *derived, *numbers]

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        return ["policy", "policy.optimizer", "dataset", "dataset_optimizer", "initial_actor"], []
