"""Distilling an agent that exists: its actions are imitated in the states that taught learners visit."""

import inspect
from typing import Any, NoReturn, Self

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback
from stable_baselines3.common.vec_env import VecNormalize

from sb3_distill.dagger.agent_statistics import take_statistics
from sb3_distill.dagger.expert import Expert
from sb3_distill.dagger.masks import are_allowed
from sb3_distill.dagger.saving import cannot_save, refuse_to_save
from sb3_distill.dataset.synthetic_dataset import DatasetLike
from sb3_distill.environments.finite import check_observations
from sb3_distill.environments.vec_normalize import normalizer_of
from sb3_distill.errors import ArgumentError
from sb3_distill.learners.distribution import LearnerDistributionLike
from sb3_distill.online.rollout import RolloutOfLearners
from sb3_distill.outer_loop.combination import Combine
from sb3_distill.outer_loop.rates import schedule
from sb3_distill.outer_loop.regularization import RegularizersLike
from sb3_distill.outer_loop.regularizers import weighted_mean
from sb3_distill.outer_loop.settings import InnerRate, Settings
from sb3_distill.typing import Array, AutocastDtype, DatasetInit, InnerLoopName, Normalize, Rate, RawObservations

BATCH_SIZE = 4096


class DAgger(RolloutOfLearners):
    """
    Learn a synthetic dataset whose learners act as an agent does (DAgger of Ross, Gordon & Bagnell 2011,
    https://arxiv.org/abs/1011.0686, through the meta-gradient of Wilhelm & Ventura 2025).

    Fresh learners drive the environments; in a share of the steps, which falls to zero, the agent drives instead. What the
    agent would have done in each state is kept, and the dataset follows the gradient of the log-likelihood of the agent's
    actions under learners that are drawn anew for every minibatch. What is not described here is as in ``PPMO``. Of PPO's
    arguments there are none about rewards (``gamma``, ``ent_coef``, ...), nor about the rollout buffer.

    A ``VecNormalize`` around the environment takes over the agent's statistics, or those of a rollout of the agent where it
    has none, and stays as it is then; so do the statistics of ``normalize``, here of observations alone.

    An agent that asks which actions are allowed (``MaskablePPO``) is told by the method ``action_masks`` of the environments,
    and drives where a learner would do what is not allowed.

    :param expert: the agent, whose greedy actions are imitated
    :param expert_share: probability that the agent drives an environment in a step; a number, or ``"lin_x"``
    :param n_updates: minibatches after each rollout
    :param batch_size: states of a minibatch, all learners together. ``None``: 4096
    :param buffer_size: states that are kept, the latest ones
    :raises ValueError: if the agent was trained for other spaces, needs action masks that the environment does not have, or
        observations are stacked after they are normalised
    """

    outer_loss = "dagger"
    has_rewards = False

    def __init__(
        self,
        policy: str | type[ActorCriticPolicy],
        env: GymEnv | str,
        expert: Expert,
        expert_share: Rate = "lin_0.5",
        learning_rate: Rate = "lin_0.003",
        weight_decay: float = 0.0,
        n_steps: int = 64,
        n_updates: int = 100,
        batch_size: int | None = None,
        buffer_size: int = 500_000,
        max_grad_norm: float = 0.5,
        *,
        n_instances: int | None = None,
        n_learners: int | None = None,
        learner_distribution: LearnerDistributionLike | None = None,
        inner_loop: InnerLoopName = "sgd",
        inner_learning_rate: InnerRate | None = None,
        inner_rate_per_role: bool = False,
        inner_rate_relative: bool | None = None,
        carry_strength: float | None = None,
        n_inner_steps: int = 1,
        initial_dataset: DatasetLike | None = None,
        dataset_init: DatasetInit = "normal",
        encoder_layers: int = 0,
        encoder_from: DatasetLike | None = None,
        autocast_dtype: AutocastDtype | None = None,
        regularizers: RegularizersLike | None = None,
        combine: Combine | None = None,
        normalize: Normalize | None = None,
        labels_learning_rate: Rate | None = None,
        rates_learning_rate: Rate | None = None,
        log_std_learning_rate: Rate | None = None,
        encoder_learning_rate: Rate | None = None,
        input_scale_learning_rate: Rate | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: th.device | str = "auto",
    ) -> None:
        self.weight_decay, self.batch_size = weight_decay, batch_size
        schedule(expert_share)  # refuses what is none
        self.expert, self.expert_share, self.n_updates, self.buffer_size = expert, expert_share, n_updates, buffer_size
        self.normalize_advantage = False
        self.labels_learning_rate, self.rates_learning_rate = labels_learning_rate, rates_learning_rate
        self.log_std_learning_rate, self.encoder_learning_rate = log_std_learning_rate, encoder_learning_rate
        self.input_scale_learning_rate = input_scale_learning_rate
        self.critic_learning_rate = 0.0  # there is no reward, hence nothing to criticise
        super().__init__(
            policy,
            env,
            arguments=Settings(
                n_instances=n_instances,
                n_learners=n_learners,
                learner_distribution=learner_distribution,
                inner_loop=inner_loop,
                inner_learning_rate=inner_learning_rate,
                inner_rate_per_role=inner_rate_per_role,
                inner_rate_relative=inner_rate_relative,
                carry_strength=carry_strength,
                n_inner_steps=n_inner_steps,
                initial_dataset=initial_dataset,
                dataset_init=dataset_init,
                encoder_layers=encoder_layers,
                encoder_from=encoder_from,
                autocast_dtype=autocast_dtype,
                regularizers=regularizers,
                combine=combine,
                normalize=normalize,
            ),
            learning_rate=learning_rate,
            n_steps=n_steps,
            gamma=0.99,
            gae_lambda=1.0,
            ent_coef=0.0,
            vf_coef=0.0,
            max_grad_norm=max_grad_norm,
            use_sde=False,
            sde_sample_freq=-1,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=policy_kwargs,
            verbose=verbose,
            seed=seed,
            device=device,
        )
        expert.check_spaces(self.observation_space, self.action_space)
        if self.env is not None:
            expert.check_masks(self.env)
        self._setup_model()
        self.replay_buffer = self._make_replay_buffer()

    @classmethod
    def arguments_of_constructor(cls) -> set[str]:
        """Names of the constructor's arguments."""
        return set(inspect.signature(cls).parameters)

    def _make_replay_buffer(self) -> ReplayBuffer:
        normalizer = self._normalizer
        if normalizer is not None and normalizer.observation_space != self.observation_space:
            raise ArgumentError(
                "the expert needs the observations of the environments: put frame stacks inside the VecNormalize"
            )
        is_dict = isinstance(self.observation_space, spaces.Dict)
        buffer_class = DictReplayBuffer if is_dict else ReplayBuffer
        return buffer_class(
            max(self.buffer_size, 2 * self.n_envs),
            self._space_of_learners,  # type: ignore[arg-type]
            self.action_space,
            self.device,
            self.n_envs,
            optimize_memory_usage=not is_dict,  # what comes next is of no interest
            handle_timeout_termination=False,
        )

    def _minibatch_size(self, n_envs: int | None) -> int:
        # Minibatches are of all that was kept, not of a rollout: nothing needs to divide it.
        return max(1, (self.batch_size or BATCH_SIZE) // self.n_learners) * self.n_learners

    def _setup_learn(self, *args: Any, **kwargs: Any) -> tuple[int, BaseCallback]:
        callback = kwargs.get("callback", args[1] if len(args) > 1 else None)
        refuse_to_save(self._init_callback(callback))
        if self.env is not None:
            self.expert.check_masks(self.env)
        self._fix_normalization()
        return super()._setup_learn(*args, **kwargs)

    @property
    def _normalizer(self) -> VecNormalize | None:
        """The ``VecNormalize`` of the environments that normalises observations, if one does."""
        normalizer = None if self.env is None else normalizer_of(self.env)
        return normalizer if normalizer is not None and normalizer.norm_obs else None

    def _fix_normalization(self) -> None:
        """Statistics that go on changing would move the states that are kept."""
        if self.normalizer.obs_rms is not None:
            if not self.normalizer.is_fixed and self.dataset.info.normalization is None:
                assert self.env is not None
                self.dataset.info.timesteps += take_statistics(self.normalizer, self.expert, self.env, self.n_steps)
            self.normalizer.is_fixed = True
            return
        venv = self._normalizer
        if venv is None or not venv.training:
            return
        if self.dataset.info.normalization is None:  # else `venv` has those of the dataset to continue from
            self._take_statistics(venv)
        venv.training = False

    def _take_statistics(self, venv: VecNormalize) -> None:
        """Those of the agent, or of a rollout of the agent where it has none."""
        source = self.expert.normalization
        if source is not None and source.norm_obs and source.norm_obs_keys == venv.norm_obs_keys:
            venv.obs_rms, venv.clip_obs, venv.epsilon = source.obs_rms, source.clip_obs, source.epsilon
            return
        assert self.env is not None
        self.env.reset()
        for _ in range(self.n_steps):
            self.env.step(self.expert(self._raw_observations(), self.expert.masks_of(self.env)))
        self.dataset.info.timesteps += self.n_steps * self.n_envs

    def save(self, *args: Any, **kwargs: Any) -> NoReturn:
        """
        :raises NotImplementedError: always: agent and states would have to be saved with it
        """
        cannot_save()

    def _intervene(self, actions: Array, shown: RawObservations) -> Array:
        assert self.env is not None
        masks = self.expert.masks_of(self.env)
        wanted = self.expert(self._raw_observations(), masks)
        idle = np.zeros(self.n_envs)
        self.replay_buffer.add(shown, shown, wanted, idle, idle, [{}] * self.n_envs)  # type: ignore[arg-type]
        share = schedule(self.expert_share)(self._current_progress_remaining)
        by_expert = th.rand(self.n_envs, generator=self._generator).numpy() < share
        if masks is not None:  # an environment may fail where an action is not allowed
            by_expert |= ~are_allowed(actions, masks, self.action_space)
        by_expert = by_expert.reshape(-1, *[1] * (actions.ndim - 1))
        return np.where(by_expert, wanted.reshape(actions.shape), actions)

    def _raw_observations(self) -> RawObservations:
        """
        What the environments show now.

        :raises FloatingPointError: if it is not finite: the agent could not answer, and fixed statistics would hide it
        """
        venv = self._normalizer
        observations = self._last_obs if venv is None else venv.get_original_obs()
        assert observations is not None and not isinstance(observations, tuple)
        check_observations(observations, self.num_timesteps // self.n_envs)
        return observations

    def train(self) -> None:
        """Make the agent's actions likelier under fresh learners."""
        self._before_updates()
        distribution = self.parts.actor.distribution
        regularization = self.distiller.regularization
        log: dict[str, list[th.Tensor]] = {}
        for _ in range(self.n_updates):
            batch = self.replay_buffer.sample(self._minibatch_size(self.n_envs))
            drawn = self.distiller.draw()
            learners = self.distiller.teach(drawn)
            seen = self.parts.actor.outputs(learners, batch.observations)
            outputs = distribution.pull_to_bounds(seen.outputs, batch.actions)
            log_prob = distribution.log_prob(outputs, batch.actions, self.dataset.log_std, seen.latent)
            scores = log_prob.detach().unflatten(0, (self.n_learners, -1)).mean(dim=1)
            loss = -weighted_mean(log_prob, regularization.weigh(drawn, scores))
            loss = self.parts.with_agreement(loss, learners, batch.observations, log)
            log.setdefault("dataset_grad_norm", []).append(self.distiller.step(loss, self.max_grad_norm).detach())
            log.setdefault("loss", []).append(loss.detach())
        self._n_updates += self.n_updates
        self._after_updates(batch.observations)
        self._log(log)

    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str = "DAgger",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        return super().learn(total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar)
