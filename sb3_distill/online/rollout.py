"""What every way of distilling in an environment does: set up learners, let them drive, tell the dataset's file."""

from typing import Any, ClassVar

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.common.vec_env import VecEnv

from sb3_distill.arguments import drawn_seed
from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.environments.finite import check_finite
from sb3_distill.environments.foreign.copies import copied, own_steps
from sb3_distill.environments.make import as_vec_env, observation_space_of
from sb3_distill.environments.plugins import full_id
from sb3_distill.errors import ArgumentError, NotFiniteError
from sb3_distill.inner_loop.loop import make_inner_loop
from sb3_distill.networks.policy_aliases import POLICIES
from sb3_distill.online import description
from sb3_distill.online.arguments import check_buffer, check_live_arguments, check_policy, resolve_batch_size, takes_argument
from sb3_distill.online.beginning import HasBeginning
from sb3_distill.online.buffers import DictLearnerRolloutBuffer, LearnerRolloutBuffer
from sb3_distill.online.interruption import TellsInterruptions
from sb3_distill.online.live_rates import HasRates
from sb3_distill.online.normalizing.choice import resolve_normalize, words
from sb3_distill.online.setup import Recipe, actor_to_teach, build_parts, remember_sharing
from sb3_distill.outer_loop.figures import figures
from sb3_distill.outer_loop.settings import Settings, inner_loop_of
from sb3_distill.outer_loop.start import Start
from sb3_distill.spaces.checks import SUPPORTED_ACTION_SPACES, check_action_space, check_observation_space
from sb3_distill.teaching.acting import LearnerOutputs
from sb3_distill.typing import Array, Normalize, Observations, RawObservations

Bootstrap = tuple[int, int, RawObservations]
"""Step, environment and last observation of an episode that a time limit cut off."""


class RolloutOfLearners(TellsInterruptions, HasRates, HasBeginning, OnPolicyAlgorithm):
    """
    Rollouts of taught learners. A subclass says what is learned from them (``train``), and what it needs of a rollout
    (``_finish_rollout``).

    ``_setup_model`` builds ``parts`` from arguments and spaces, with or without an environment, and again on load.

    :param policy: policy of the learners
    :param env: the environment, or its id
    :param arguments: settings as the user gave them
    :param kwargs: arguments of SB3's ``OnPolicyAlgorithm``
    """

    outer_loss: ClassVar[str]
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = POLICIES
    dataset_info: DatasetInfo
    _generator: th.Generator
    has_rewards: ClassVar[bool] = True
    """Whether rewards are learned from."""
    weight_decay: float
    batch_size: int | None
    normalize_advantage: bool

    def __init__(
        self, policy: str | type[ActorCriticPolicy], env: GymEnv | str, *, arguments: Settings, **kwargs: Any
    ) -> None:
        if isinstance(env, str):
            env = full_id(env)
        policy = getattr(policy, "taught_class", None) or policy
        super().__init__(policy, env, _init_setup_model=False, supported_action_spaces=SUPPORTED_ACTION_SPACES, **kwargs)
        self.arguments = arguments

    @property
    def learner_kwargs(self) -> dict[str, Any]:
        """Arguments of the learners' policy."""
        return {**self.policy_kwargs, **({"use_sde": True} if self.use_sde else {})}

    @staticmethod
    def _wrap_env(env: GymEnv, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        check_observation_space(observation_space_of(env))
        return as_vec_env(env, verbose, monitor_wrapper)

    def _get_policy_from_name(self, policy_name: str) -> type[BasePolicy]:
        if policy_name not in self.policy_aliases:
            names = ", ".join(self.policy_aliases)
            raise ArgumentError(f"Policy {policy_name} unknown; `policy` must be one of {names}, or an SB3 policy class")
        return super()._get_policy_from_name(policy_name)

    def _setup_model(self) -> None:
        is_loaded = hasattr(self, "dataset_info")
        check_live_arguments(self)
        check_policy(self.policy_class, self.policy_kwargs, self.observation_space, list(self.policy_aliases))
        check_buffer(self.rollout_buffer_class)
        check_action_space(self.action_space)
        # When loading, restore the generator afterwards, so that set-up consumes no random numbers.
        state = self._generator.get_state() if is_loaded else None
        can_share = self._build_policy()
        if not is_loaded:
            self._generator = th.Generator().manual_seed(drawn_seed(self.seed))
        actor, start = actor_to_teach(self.policy), Start()
        n_envs = None if self.env is None and not is_loaded else self.n_envs
        if is_loaded:
            self._resolve_loaded(self.dataset_info, n_envs)
        else:
            start = self._resolve_new(actor, n_envs)
            self._announce()
        self.parts = build_parts(self.policy, actor, self._recipe(start, is_loaded, can_share), self._generator)
        self.dataset_info = self.dataset.info
        self.rollout_buffer.n_learners, self.rollout_buffer.generator = self.n_learners, self._generator  # type: ignore[attr-defined]
        self._minibatch_size(n_envs)
        if can_share:
            remember_sharing(self.policy)
        self._let_normalize(self.env, is_loaded)
        if not is_loaded and start.continued is None and self.dataset_init == "normal":  # else observations are still to come
            self.shrink_initial_rates()
        self._teach_policy()
        if state is not None:
            self._generator.set_state(state)

    def _build_policy(self) -> bool:
        """SB3's set-up, with a policy that shares no features; return whether it could share them."""
        if self.rollout_buffer_class is None:
            is_dict = isinstance(self.observation_space, spaces.Dict)
            self.rollout_buffer_class = DictLearnerRolloutBuffer if is_dict else LearnerRolloutBuffer
        policy_kwargs = self.policy_kwargs
        if can_share := takes_argument(self.policy_class, "share_features_extractor"):
            # The actor's part is taught, the critic's is trained, unless the encoder holds it.
            self.policy_kwargs = {**policy_kwargs, "share_features_extractor": False}
        super()._setup_model()
        self.policy_kwargs = policy_kwargs
        return can_share

    def _resolve_normalize(self, start: Start) -> Normalize:
        return resolve_normalize(self.arguments.normalize, self.policy, self.env, start, self.has_rewards)

    def _announce(self) -> None:
        """Say once what was chosen for the task, and what is normalised inside."""
        if self.verbose >= 1:
            print("Learning with " + ", ".join(f"{name}={value!r}" for name, value in description.chosen(self).items()))
            if self.settings.normalize:
                print(f"Normalising {words(self.settings.normalize)} inside {type(self).__name__}, see `normalize`")

    def _recipe(self, start: Start, is_loaded: bool, can_share: bool) -> Recipe:
        if is_loaded:
            loop, info = make_inner_loop(**self.dataset_info.inner_loop), self.dataset_info
        else:
            loop = inner_loop_of(self.settings) if start.continued is None else start.continued.inner_loop
            info = description.new_description(self, loop, self.policy_class, self.learner_kwargs, self.policy_aliases)
        description.record_origin(info, self.env, self.learner_distribution)
        info.arguments = description.chosen(self)
        return Recipe(
            self.settings, start, info, loop, self.policy_class, self.learner_kwargs, self._step_sizes(), self.weight_decay,
            learns_input_scale=self.input_scale_learning_rate is not None,
            shares_features=can_share and self.policy_kwargs.get("share_features_extractor", True),
        )  # fmt: skip

    def _minibatch_size(self, n_envs: int | None) -> int:
        """Transitions of a minibatch, as ``batch_size`` says now; ``n_envs`` is ``None`` without an environment."""
        arguments = (self.batch_size, n_envs, self.n_steps, self.n_learners, self.normalize_advantage)
        if arguments != self.parts.batch_size_for:  # warn once, not in every iteration
            self.parts.batch_size_for, self.parts.batch_size = arguments, resolve_batch_size(*arguments)
        return self.parts.batch_size

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """
        Lines 2 to 4 of Algorithm 1: draw learners, teach them, let each drive its environments.

        :raises FloatingPointError: if a reward or an observation is not finite; the dataset stays as it was, and is
            written beside the logs where there is a log folder
        """
        assert self._last_obs is not None, "No previous observation was provided"
        parts, distribution, normalizer = self.parts, self.parts.actor.distribution, self.normalizer
        parts.policy.set_training_mode(False)
        rollout_buffer.observation_space = self._space_of_learners
        rollout_buffer.reset()
        if normalizer.ret_rms is not None:
            check_live_arguments(self)  # statistics would keep a `gamma` that is not finite for ever
        normalizer.gamma = self.gamma
        parts.learners = self.distiller.draw()
        with th.no_grad():
            taught = self.distiller.teach(parts.learners)
        noise = distribution.rollout_noise(
            n_rollout_steps, env.num_envs, self._generator, parts.latent_dim, self.sde_sample_freq
        )
        seen: list[LearnerOutputs] = []
        bootstraps: list[Bootstrap] = []
        unused = th.zeros(env.num_envs)
        is_discrete = isinstance(self.action_space, spaces.Discrete)
        callback.on_rollout_start()
        self._last_obs, step = own_steps(env, self._last_obs)  # type: ignore[assignment]
        shown = normalizer(self._last_obs)  # type: ignore[arg-type]
        for n_steps in range(n_rollout_steps):
            with th.no_grad():
                now = parts.actor.see(taught, shown)
                sampled = parts.actor.sample(now, noise[n_steps])
                actions = self._intervene(sampled.reshape(-1, *(self.action_space.shape or ())), shown)
            seen.append(now)
            new_obs, rewards, dones, infos = step(parts.actor.to_env(actions))

            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            shown_before, (shown, paid) = shown, normalizer.step(new_obs, rewards, dones)  # type: ignore[arg-type]
            if dones.any():
                ended = np.flatnonzero(dones)
                self._update_info_buffer([infos[idx] for idx in ended], dones[ended])
                for idx in ended.tolist():
                    if infos[idx].get("TimeLimit.truncated", False) and "terminal_observation" in infos[idx]:
                        bootstraps.append((n_steps, idx, normalizer(copied(infos[idx]["terminal_observation"]))))
            if is_discrete:
                actions = actions.reshape(-1, 1)
            rollout_buffer.add(shown_before, actions, paid, self._last_episode_starts, unused, unused)  # type: ignore[arg-type]
            self._last_obs = new_obs  # type: ignore[assignment]
            self._last_episode_starts = dones

        first_step = self.num_timesteps // env.num_envs - n_rollout_steps
        trouble = check_finite(rollout_buffer, first_step, shown, bootstraps)
        if trouble is not None:
            rescued = description.rescue(self.dataset, self.logger.get_dir())
            raise NotFiniteError(f"{trouble}; `model.dataset` is as it was before this rollout{rescued}")
        self._finish_rollout(rollout_buffer, LearnerOutputs.join(seen), bootstraps, shown, dones)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def _intervene(self, actions: Array, shown: RawObservations) -> Array:
        """
        :param actions: actions of the learners, for the current observations
        :param shown: these observations as learners see them
        :return: the actions to be taken
        """
        return actions

    def _finish_rollout(
        self, buffer: RolloutBuffer, seen: LearnerOutputs, bootstraps: list[Bootstrap], last_obs: RawObservations, dones: Array
    ) -> None:
        """
        :param buffer: observations, actions and rewards of the rollout
        :param seen: what the learners made of its ``n_steps * n_envs`` observations
        :param bootstraps: episodes that a time limit cut off
        :param last_obs: observations after the last step
        :param dones: whether they begin an episode
        """

    def _before_updates(self) -> None:
        """Read what may have been set since the last iteration."""
        check_live_arguments(self)
        self.parts.policy.set_training_mode(True)
        sizes = self._step_sizes()
        self.distiller.set_step_sizes(sizes, self.weight_decay)
        for group in self.policy.optimizer.param_groups:
            group["lr"] = sizes["critic"]
        self.logger.record("train/learning_rate", sizes["learning"])

    def _after_updates(self, observations: Observations) -> None:
        """
        The dataset has changed: tell its file and the policy.

        :param observations: some of those that were seen
        """
        self._describe(self.n_steps * self.n_envs)
        self.parts.policy.set_training_mode(False)
        if self.parts.policy_actor.statistics:
            self.parts.policy_actor.update_statistics(self.parts.actor.preprocess(observations))
        self._teach_policy()

    def _teach_policy(self) -> None:
        """Make ``policy`` what the dataset teaches its fixed draw."""
        self.parts.teach_policy(self.policy)
        if self.use_sde:
            self.policy.reset_noise(self.n_envs)

    def _log(self, log: dict[str, list[th.Tensor]]) -> None:
        """
        :param log: figures of each update, by name; ``dataset_grad_norm`` among them
        """
        for name, value in figures(self.distiller, log).items():
            self.logger.record(f"train/{name}", value)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "parts"]
