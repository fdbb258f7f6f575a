"""What every way of distilling does with its learners: let them drive the environments, then update the dataset."""

from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv

from sb3_distill.environments.finite import check_finite
from sb3_distill.environments.vec_normalize import normalized_space
from sb3_distill.errors import NotFiniteError
from sb3_distill.networks.action_distribution import to_env
from sb3_distill.ppmo.base import DistillationAlgorithm, Seen


class LearnerDrivenAlgorithm(DistillationAlgorithm):
    """
    Rollouts of taught learners, and steps of the dataset down a loss; a subclass says which (``train``) and what it needs of
    a rollout (``_finish_rollout``).
    """

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
        rollout_buffer.observation_space = normalized_space(self.observation_space, self._vec_normalize_env)
        rollout_buffer.reset()
        self.learners = self._sampler.sample(self._n_learners, self._generator)
        with th.no_grad():
            taught = self.dataset.teach(self.learners)
        noise = self._actions.rollout_noise(
            n_rollout_steps, env.num_envs, self._generator, self._latent_dim, self.sde_sample_freq
        )
        seen, bootstraps = [], []
        unused = th.zeros(env.num_envs)
        is_discrete = isinstance(self.action_space, spaces.Discrete)
        callback.on_rollout_start()

        for n_steps in range(n_rollout_steps):
            with th.no_grad():
                now = self._see(taught, obs_as_tensor(self._last_obs, self.device))  # type: ignore[arg-type]
                sampled = self._actions.act(now.outputs, noise[n_steps].to(self.device), self.dataset.log_std, now.latent)
                actions = self._intervene(sampled.cpu().numpy().reshape(-1, *(self.action_space.shape or ())))
            seen.append(now)
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
            raise NotFiniteError(f"{trouble}; `model.dataset` is as it was before this rollout{self._rescue()}")
        self._finish_rollout(rollout_buffer, Seen.join(seen), bootstraps, new_obs, dones)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def _intervene(self, actions: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """
        :param actions: of the learners, in the current observations
        :return: the actions to be taken
        """
        return actions

    def _finish_rollout(
        self,
        buffer: RolloutBuffer,
        seen: Seen,
        bootstraps: list[tuple[int, int, Any]],
        last_obs: Any,
        dones: np.ndarray[Any, Any],
    ) -> None:
        """
        :param buffer: observations, actions and rewards of the rollout
        :param seen: what the learners made of its ``n_steps * n_envs`` observations
        :param bootstraps: step, environment and last observation of episodes that were cut off by a time limit
        :param last_obs: observations after the last step
        :param dones: whether they begin an episode
        """

    def _set_rates(self) -> None:
        """Put the step sizes of now into the optimizers."""
        rates = self._rates()
        for group in self.dataset_optimizer.param_groups:
            group["lr"] = rates[group["name"]]
            group["weight_decay"] = self.weight_decay if group["name"] == "learning" else 0.0
        for group in self.policy.optimizer.param_groups:
            group["lr"] = rates["critic"]
        self.logger.record("train/learning_rate", rates["learning"])

    def _descend(self, loss: th.Tensor) -> th.Tensor:
        """
        One step of dataset and critic; one that cannot be computed is left out.

        :param loss: to be made smaller
        :return: the norm of the dataset's gradient
        """
        self.dataset_optimizer.zero_grad()
        self.policy.optimizer.zero_grad()
        loss.backward()
        norms = [th.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm) for parameters in self._clipped_apart]
        grad_norm, encoder_norm, critic_norm = norms
        if grad_norm.isfinite() and encoder_norm.isfinite():
            self.dataset_optimizer.step()
            self.dataset.clamp_()
        if critic_norm.isfinite():
            self.policy.optimizer.step()
        return grad_norm

    def _after_updates(self, observations: Any) -> None:
        """
        The dataset has changed: tell its file and the policy.

        :param observations: some of those that were seen
        """
        self._update_info(self.n_steps)
        self.policy.set_training_mode(False)
        self._update_statistics(observations)
        self._teach_policy()

    def _log(self, log: dict[str, list[th.Tensor]]) -> None:
        """
        :param log: figures of each update, by name; ``dataset_grad_norm`` among them
        """
        for name, values in log.items():
            self.logger.record(f"train/{name}", th.stack(values).nanmean().item())
        norms = log.get("dataset_grad_norm", [])
        self.logger.record("train/skipped_steps", sum(not bool(norm.isfinite()) for norm in norms))
        self.logger.record("train/caught_learners", self.dataset.inner_loop.caught())
        for name, rate in self.dataset.inner_loop.rates(self.dataset.learned).items():
            self.logger.record(f"train/{name}", rate)
        if self.dataset.log_std is not None:
            self.logger.record("train/std", self.dataset.log_std.exp().mean().item())
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
