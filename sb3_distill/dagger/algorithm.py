"""Distilling an agent that exists: its actions are imitated in the states that taught learners visit."""

import inspect
from typing import Any, TypeVar

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback, Schedule
from stable_baselines3.common.vec_env import VecNormalize

from sb3_distill.dagger.expert import Expert
from sb3_distill.environments.finite import check_observations
from sb3_distill.environments.vec_normalize import normalized_space
from sb3_distill.errors import ArgumentError
from sb3_distill.ppmo.arguments import schedule
from sb3_distill.ppmo.dataset_setup import DatasetOwner
from sb3_distill.ppmo.rollout import LearnerDrivenAlgorithm

SelfDAgger = TypeVar("SelfDAgger", bound="DAgger")


BATCH_SIZE = 4096
WITHOUT_REWARD: dict[str, Any] = dict(
    critic_learning_rate=0.0,  # there is nothing to criticise
    normalize_advantage=False,
    gamma=0.99,
    gae_lambda=1.0,
    ent_coef=0.0,
    vf_coef=0.0,
    use_sde=False,
    sde_sample_freq=-1,
)


class DAgger(LearnerDrivenAlgorithm):
    """
    Learn a synthetic dataset whose learners act as an expert does (DAgger of Ross, Gordon & Bagnell 2011,
    https://arxiv.org/abs/1011.0686, through the meta-gradient of Wilhelm & Ventura 2025).

    Fresh learners drive the environments, with the expert at the wheel in a share of the steps that falls to zero; what the
    expert would have done in each state is kept; and the dataset follows the gradient of the log-likelihood of the expert's
    actions under learners that are drawn anew for every minibatch. What is not described here is as in ``PPMO``.

    A ``VecNormalize`` around the environment takes over the expert's statistics, or those of a rollout of the expert where it
    has none, and stays as it is then.

    :param expert: whose greedy actions are imitated
    :param expert_share: probability that an environment is driven by the expert in a step; a number, or ``"lin_x"``
    :param n_updates: minibatches after each rollout
    :param batch_size: states of a minibatch, all learners together. ``None``: 4096
    :param buffer_size: states that are kept, the latest ones
    :param kwargs: further arguments of ``PPMO`` about the dataset, the learners and the run (``n_instances``, ``inner_loop``,
        ``initial_dataset``, ``seed``, ...)
    :raises ValueError: if the expert was trained for other spaces, or observations are stacked after they are normalised
    """

    outer_loss = "dagger"

    def __init__(
        self,
        policy: str | type[ActorCriticPolicy],
        env: GymEnv | str,
        expert: Expert,
        expert_share: float | str | Schedule = "lin_0.5",
        learning_rate: float | str | Schedule = "lin_0.003",
        weight_decay: float = 0.0,
        n_steps: int = 64,
        n_updates: int = 100,
        batch_size: int | None = None,
        buffer_size: int = 500_000,
        max_grad_norm: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            policy,
            env,
            weight_decay=weight_decay,
            batch_size=batch_size,
            learning_rate=learning_rate,
            n_steps=n_steps,
            max_grad_norm=max_grad_norm,
            **WITHOUT_REWARD,
            **kwargs,
        )
        self.expert = expert
        self.expert_share = schedule(expert_share)
        self.n_updates = n_updates
        self.buffer_size = buffer_size
        expert.check_spaces(self.observation_space, self.action_space)
        self._setup_model()
        normalizer = self._vec_normalize_env
        if normalizer is not None and normalizer.observation_space != self.observation_space:
            raise ArgumentError(
                "the expert needs the observations of the environments: put frame stacks inside the VecNormalize"
            )
        is_dict = isinstance(self.observation_space, spaces.Dict)
        buffer_class: Any = DictReplayBuffer if is_dict else ReplayBuffer
        self.replay_buffer: ReplayBuffer = buffer_class(
            max(buffer_size, 2 * self.n_envs),
            normalized_space(self.observation_space, normalizer),
            self.action_space,
            self.device,
            self.n_envs,
            optimize_memory_usage=not is_dict,  # what comes next is of no interest
            handle_timeout_termination=False,
        )

    @classmethod
    def arguments(cls) -> set[str]:
        """Names of the constructor's arguments."""
        taken = (name for owner in (cls, DatasetOwner, OnPolicyAlgorithm) for name in inspect.signature(owner).parameters)
        return {name for name in taken if name[0] != "_"} - {"kwargs", *WITHOUT_REWARD}

    def _resolve_batch_size(self, n_envs: int | None) -> int:
        # Minibatches are of all that was kept, not of a rollout: nothing needs to divide it.
        return max(1, (self.batch_size or BATCH_SIZE) // self._n_learners) * self._n_learners

    def _setup_learn(self, *args: Any, **kwargs: Any) -> tuple[int, BaseCallback]:
        self._fix_normalization()
        return super()._setup_learn(*args, **kwargs)

    def _fix_normalization(self) -> None:
        """Statistics that go on changing would move the states that are kept."""
        venv = self._vec_normalize_env
        if venv is None or not venv.training:
            return
        if self.dataset.info.normalization is None:  # else `venv` has those of the dataset to continue from
            self._take_statistics(venv)
        venv.training = False

    def _take_statistics(self, venv: VecNormalize) -> None:
        """Those of the expert, or of a rollout of the expert where it has none."""
        known = self.expert.normalization
        if known is not None and known.norm_obs:
            venv.obs_rms, venv.clip_obs, venv.epsilon = known.obs_rms, known.clip_obs, known.epsilon
            return
        assert self.env is not None
        self.env.reset()
        for _ in range(self.n_steps):
            self.env.step(self.expert(self._raw_observations()))
        self.dataset.info.timesteps += self.n_steps * self.n_envs

    def save(self, *args: Any, **kwargs: Any) -> None:
        """
        :raises NotImplementedError: always: expert and states would have to be saved with it
        """
        raise NotImplementedError("save `model.dataset`, and go on with DAgger(..., initial_dataset=...)")

    def _intervene(self, actions: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        wanted = self.expert(self._raw_observations())
        idle = np.zeros(self.n_envs)
        self.replay_buffer.add(self._last_obs, self._last_obs, wanted, idle, idle, [{}] * self.n_envs)  # type: ignore[arg-type]
        share = self.expert_share(self._current_progress_remaining)
        by_expert = th.rand(self.n_envs, generator=self._generator).numpy() < share
        by_expert = by_expert.reshape(-1, *[1] * (actions.ndim - 1))
        mixed: np.ndarray[Any, Any] = np.where(by_expert, wanted.reshape(actions.shape), actions)
        return mixed

    def _raw_observations(self) -> Any:
        """
        What the environments show now.

        :raises FloatingPointError: if it is not finite: the expert could not answer, and fixed statistics would hide it
        """
        venv = self._vec_normalize_env
        observations = self._last_obs if venv is None else venv.get_original_obs()
        assert observations is not None
        check_observations(observations, self.num_timesteps // self.n_envs)
        return observations

    def train(self) -> None:
        """Make the expert's actions likelier under fresh learners."""
        self.policy.set_training_mode(True)
        self._set_rates()
        log: dict[str, list[th.Tensor]] = {}
        for _ in range(self.n_updates):
            batch = self.replay_buffer.sample(self._batch_size)
            learners = self.dataset.teach(self._sampler.sample(self._n_learners, self._generator))
            seen = self._see(learners, batch.observations)
            outputs = self._actions.forgive(seen.outputs, batch.actions)
            loss = -self._actions.log_prob(outputs, batch.actions, self.dataset.log_std, seen.latent).mean()
            log.setdefault("dataset_grad_norm", []).append(self._descend(loss).detach())
            log.setdefault("loss", []).append(loss.detach())
        self._n_updates += self.n_updates
        self._after_updates(batch.observations)
        self._log(log)

    def learn(
        self: SelfDAgger,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str = "DAgger",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> SelfDAgger:
        return super().learn(total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar)
