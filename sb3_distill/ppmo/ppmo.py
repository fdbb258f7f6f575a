"""Proximal Policy Meta-Optimization: the outer loop."""

from typing import Any, TypeVar

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback, Schedule
from stable_baselines3.common.utils import explained_variance, obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv

from sb3_distill.action_distribution import to_env
from sb3_distill.ppmo.base import DistillationAlgorithm
from sb3_distill.ppmo.buffers import check_finite
from sb3_distill.ppmo.losses import normalize, policy_loss, value_loss
from sb3_distill.spaces import SUPPORTED_ACTION_SPACES

SelfPPMO = TypeVar("SelfPPMO", bound="PPMO")


class PPMO(DistillationAlgorithm):
    """
    Proximal Policy Meta-Optimization (Algorithm 1 of Wilhelm & Ventura, "Distilling Reinforcement Learning into
    Single-Batch Datasets", 2025, https://arxiv.org/abs/2508.09283).

    Learns a synthetic dataset such that a freshly initialised policy, trained on it for one step, solves the environment.
    What is not described here is as in ``stable_baselines3.PPO``; defaults differ.

    :param policy: The policy model to use (MlpPolicy, CnnPolicy, ...)
    :param env: The environment to learn from (if registered in Gym, can be str)
    :param n_instances: Number of synthetic instances, ``k`` of the paper. ``None``: the paper's minimum (Eq. 3) for
        ``Discrete`` actions, one per class for several discrete choices at once, 64 for continuous ones
    :param n_learners: Number of learners that are drawn, taught and scored in each iteration; a divisor of ``n_envs``.
        ``None``: the largest divisor up to 8
    :param learner_distribution: The networks that the dataset shall teach: a ``LearnerDistribution``, or what its ``parse``
        takes. ``None``: the given policy with SB3's own initialisation
    :param inner_loop: How learners are trained on the dataset: ``"sgd"``, gradient steps, or ``"ridge"``, a closed-form solve
        of the last layer
    :param inner_learning_rate: Initial value of the learned rate of the gradient steps
    :param inner_rate_per_role: Learn one rate for each role of a parameter (weights, biases; first, hidden, last layer)
        instead of one for all, so that a set carries over to other depths
    :param inner_rate_relative: Measure rates relative to the size of a learner's features, so that several steps converge
        for networks of any scale
    :param n_inner_steps: Number of gradient steps (the paper: 1)
    :param initial_dataset: A dataset, file or shipped set to continue from
    :param learning_rate: Step size of Adam on the synthetic observations
    :param labels_learning_rate: The same for the labels; ``None``: 10 times ``learning_rate``
    :param rates_learning_rate: The same for the logarithms of the learned rates; ``None``: 5 times ``learning_rate``
    :param log_std_learning_rate: The same for the log-std of continuous actions; ``None``: as ``learning_rate``
    :param critic_learning_rate: The same for the critic; ``None``: 0.5 times ``learning_rate``
    :param weight_decay: Decoupled weight decay of the synthetic observations. It keeps them where the activations of all
        learners respond alike; without it they grow, and a few learners in a hundred fail
    :param batch_size: Transitions of a minibatch, all learners together. ``None``: a quarter of a rollout, at least 64
    :param vf_coef: Scale of the critic's loss. The critic shares nothing with the dataset
    :param max_grad_norm: Bound of the gradient norm, for the dataset and for the critic apart
    """

    def __init__(
        self,
        policy: str | type[ActorCriticPolicy],
        env: GymEnv | str,
        n_instances: int | None = None,
        n_learners: int | None = None,
        learner_distribution: Any = None,
        inner_loop: str = "sgd",
        inner_learning_rate: float = 1.0,
        inner_rate_per_role: bool = False,
        inner_rate_relative: bool = False,
        n_inner_steps: int = 1,
        initial_dataset: Any = None,
        learning_rate: float | Schedule = 0.005,
        labels_learning_rate: float | Schedule | None = None,
        rates_learning_rate: float | Schedule | None = None,
        log_std_learning_rate: float | Schedule | None = None,
        critic_learning_rate: float | Schedule | None = None,
        weight_decay: float = 0.1,
        n_steps: int = 128,
        batch_size: int | None = None,
        n_epochs: int = 4,
        gamma: float = 0.99,
        gae_lambda: float = 0.95,
        clip_range: float | Schedule = 0.2,
        clip_range_vf: float | Schedule | None = None,
        normalize_advantage: bool = True,
        ent_coef: float = 0.0,
        vf_coef: float = 0.5,
        max_grad_norm: float = 0.5,
        use_sde: bool = False,
        sde_sample_freq: int = -1,
        rollout_buffer_class: type[RolloutBuffer] | None = None,
        rollout_buffer_kwargs: dict[str, Any] | None = None,
        target_kl: float | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: th.device | str = "auto",
        _init_setup_model: bool = True,
    ) -> None:
        super().__init__(
            policy,
            env,
            learning_rate=learning_rate,
            n_steps=n_steps,
            gamma=gamma,
            gae_lambda=gae_lambda,
            ent_coef=ent_coef,
            vf_coef=vf_coef,
            max_grad_norm=max_grad_norm,
            use_sde=use_sde,
            sde_sample_freq=sde_sample_freq,
            rollout_buffer_class=rollout_buffer_class,
            rollout_buffer_kwargs=rollout_buffer_kwargs,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=policy_kwargs,
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=False,
            supported_action_spaces=SUPPORTED_ACTION_SPACES,
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
        self.labels_learning_rate = labels_learning_rate
        self.rates_learning_rate = rates_learning_rate
        self.log_std_learning_rate = log_std_learning_rate
        self.critic_learning_rate = critic_learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.n_epochs = n_epochs
        self.clip_range = clip_range
        self.clip_range_vf = clip_range_vf
        self.normalize_advantage = normalize_advantage
        self.target_kl = target_kl
        if _init_setup_model:
            self._setup_model()

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """
        Lines 2 to 4 of Algorithm 1: draw learners, teach them, let each drive its environments.

        :raises FloatingPointError: if a reward or an observation is not finite; the dataset stays as it was, and is
            written beside the logs where there is a log folder
        """
        assert self._last_obs is not None, "No previous observation was provided"
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        self.learners = self._sampler.sample(self._n_learners, self._generator)
        with th.no_grad():
            taught = self.dataset.teach(self.learners)
        noise = self._actions.rollout_noise(
            n_rollout_steps, env.num_envs, self._generator, self._latent_dim, self.sde_sample_freq
        )
        outputs, latents, bootstraps = [], [], []
        unused = th.zeros(env.num_envs)
        is_discrete = isinstance(self.action_space, spaces.Discrete)
        callback.on_rollout_start()

        for n_steps in range(n_rollout_steps):
            with th.no_grad():
                output, latent = self._outputs(taught, obs_as_tensor(self._last_obs, self.device))  # type: ignore[arg-type]
                sampled = self._actions.act(output, noise[n_steps].to(self.device), self.dataset.log_std, latent)
                actions = sampled.cpu().numpy().reshape(-1, *(self.action_space.shape or ()))
            outputs.append(output)
            latents.append(latent)
            new_obs, rewards, dones, infos = env.step(to_env(actions, self.action_space, self._actions.squashes))

            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            if dones.any():
                ended = np.flatnonzero(dones)
                self._update_info_buffer([infos[idx] for idx in ended], dones[ended])
                for idx in ended.tolist():
                    if infos[idx].get("TimeLimit.truncated", False) and "terminal_observation" in infos[idx]:
                        bootstraps.append((n_steps, idx, infos[idx]["terminal_observation"]))
            if is_discrete:
                actions = actions.reshape(-1, 1)
            rollout_buffer.add(self._last_obs, actions, rewards, self._last_episode_starts, unused, unused)  # type: ignore[arg-type]
            self._last_obs = new_obs  # type: ignore[assignment]
            self._last_episode_starts = dones

        first_step = self.num_timesteps // env.num_envs - n_rollout_steps
        trouble = check_finite(rollout_buffer, first_step, new_obs, bootstraps)
        if trouble is not None:
            raise FloatingPointError(f"{trouble}; `model.dataset` is as it was before this rollout{self._rescue()}")
        latent = None if latents[0] is None else th.cat(latents)  # type: ignore[arg-type]
        self._finish_rollout(rollout_buffer, th.cat(outputs), latent, bootstraps, new_obs, dones)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    @th.no_grad()
    def _finish_rollout(
        self,
        buffer: RolloutBuffer,
        outputs: th.Tensor,
        latent: th.Tensor | None,
        bootstraps: list[tuple[int, int, Any]],
        last_obs: Any,
        dones: np.ndarray[Any, Any],
    ) -> None:
        """Log-probabilities, values and advantages of a whole rollout at once."""
        shape = buffer.rewards.shape
        actions = th.as_tensor(buffer.actions.reshape(shape[0] * shape[1], -1), device=self.device)
        log_probs = self._actions.log_prob(outputs, actions, self.dataset.log_std, latent)
        buffer.log_probs[:] = log_probs.reshape(shape).cpu().numpy()
        flat: Any = (
            {key: value.reshape(-1, *value.shape[2:]) for key, value in buffer.observations.items()}
            if isinstance(buffer.observations, dict)
            else buffer.observations.reshape(-1, *buffer.observations.shape[2:])
        )
        buffer.values[:] = self._critic.of_arrays(flat, shape[0] * shape[1], rollout=True).reshape(shape).cpu().numpy()
        if bootstraps:
            # An episode cut by its time limit would have gone on, see SB3's issue 633.
            steps, envs, final = zip(*bootstraps, strict=True)
            stacked: Any = (
                {key: np.stack([obs[key] for obs in final]) for key in final[0]}
                if isinstance(final[0], dict)
                else np.stack(final)
            )
            buffer.rewards[list(steps), list(envs)] += self.gamma * self._critic.of_arrays(stacked, len(final)).cpu().numpy()
        buffer.compute_returns_and_advantage(self._critic.of_arrays(last_obs, shape[1]), dones)

    def train(self) -> None:
        """
        Lines 6 to 15 of Algorithm 1: update dataset and critic on the rollout. Before each minibatch all learners are taught
        anew, from the same initial parameters, so that the policies change through the dataset alone.
        """
        self.policy.set_training_mode(True)
        rates = self._rates()
        for group in self.dataset_optimizer.param_groups:
            group["lr"] = rates[group["name"]]
            group["weight_decay"] = self.weight_decay if group["name"] == "learning" else 0.0
        for group in self.policy.optimizer.param_groups:
            group["lr"] = rates["critic"]
        clip_range = self.clip_range(self._current_progress_remaining)
        clip_range_vf = self.clip_range_vf and self.clip_range_vf(self._current_progress_remaining)
        dataset_parameters = list(self.dataset.parameters())
        explained = explained_variance(self.rollout_buffer.values.flatten(), self.rollout_buffer.returns.flatten())
        log: dict[str, list[th.Tensor]] = {}
        continue_training = True

        for epoch in range(self.n_epochs):
            for batch in self.rollout_buffer.get(self._batch_size):
                learners = self.dataset.teach(self.learners)
                outputs, latent = self._outputs(learners, batch.observations)
                log_prob = self._actions.log_prob(outputs, batch.actions, self.dataset.log_std, latent)
                with th.set_grad_enabled(self.ent_coef != 0):
                    entropy = self._actions.entropy(outputs, self.dataset.log_std, latent)
                advantages = normalize(batch.advantages) if self.normalize_advantage else batch.advantages
                surrogate = policy_loss(log_prob, batch.old_log_prob, advantages, clip_range)
                entropy_loss = log_prob.mean() if entropy is None else -entropy.mean()
                values = self._critic(batch.observations)
                critic_loss = value_loss(values, batch.returns, batch.old_values, clip_range_vf)
                loss = surrogate.loss + self.ent_coef * entropy_loss + self.vf_coef * critic_loss

                if self.target_kl is not None and surrogate.approx_kl > 1.5 * self.target_kl:
                    continue_training = False
                    if self.verbose >= 1:
                        print(f"Early stopping at step {epoch} due to reaching max kl: {surrogate.approx_kl:.2f}")
                    break

                self.dataset_optimizer.zero_grad()
                self.policy.optimizer.zero_grad()
                loss.backward()
                grad_norm = th.nn.utils.clip_grad_norm_(dataset_parameters, self.max_grad_norm)
                critic_norm = th.nn.utils.clip_grad_norm_(self._critic.parameters, self.max_grad_norm)
                if grad_norm.isfinite():  # a step that cannot be computed is left out, and counted
                    self.dataset_optimizer.step()
                    self.dataset.clamp_()
                if critic_norm.isfinite():
                    self.policy.optimizer.step()

                for name, value in (
                    ("policy_gradient_loss", surrogate.loss), ("value_loss", critic_loss), ("entropy_loss", entropy_loss),
                    ("approx_kl", surrogate.approx_kl), ("clip_fraction", surrogate.clip_fraction), ("loss", loss),
                    ("dataset_grad_norm", grad_norm),
                ):  # fmt: skip
                    log.setdefault(name, []).append(value.detach())
            self._n_updates += 1
            if not continue_training:
                break

        self._update_info()
        self.policy.set_training_mode(False)
        self._update_statistics(batch.observations)
        self._teach_policy()
        self._log(log, rates, clip_range, clip_range_vf, explained)

    def _log(
        self,
        log: dict[str, list[th.Tensor]],
        rates: dict[str, float],
        clip_range: float,
        clip_range_vf: float | None,
        explained: float,
    ) -> None:
        for name, values in log.items():
            self.logger.record(f"train/{name}", th.stack(values).nanmean().item())
        norms = log.get("dataset_grad_norm", [])
        self.logger.record("train/skipped_steps", sum(not bool(norm.isfinite()) for norm in norms))
        self.logger.record("train/caught_learners", self.dataset.inner_loop.caught())
        for name, rate in self.dataset.inner_loop.rates(self.dataset.learned).items():
            self.logger.record(f"train/{name}", rate)
        self.logger.record("train/explained_variance", explained)
        self.logger.record("train/learning_rate", rates["learning"])
        self.logger.record("train/clip_range", clip_range)
        if clip_range_vf is not None:
            self.logger.record("train/clip_range_vf", clip_range_vf)
        if self.dataset.log_std is not None:
            self.logger.record("train/std", self.dataset.log_std.exp().mean().item())
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")

    def learn(
        self: SelfPPMO,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str = "PPMO",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> SelfPPMO:
        """
        :raises ValueError: if there is no environment
        """
        if self.env is None:
            raise ValueError("there is no environment to learn from: call `set_env(env)`, or load with `PPMO.load(path, env)`")
        return super().learn(total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar)
