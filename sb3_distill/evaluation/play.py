"""Learners play episodes."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch as th
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.preprocessing import preprocess_obs
from stable_baselines3.common.utils import obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, is_vecenv_wrapped
from tqdm.auto import tqdm

from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.evaluation.result import Returns
from sb3_distill.learners.population import Learners
from sb3_distill.networks.action_distribution import ActionDistribution, to_env


class _Player:
    """Actions of all learners for the observations of all environments."""

    def __init__(
        self,
        dataset: SyntheticDataset,
        learners: Learners,
        distribution: ActionDistribution,
        generator: th.Generator,
        deterministic: bool,
    ) -> None:
        self.dataset, self.learners, self.generator, self.deterministic = dataset, learners, generator, deterministic
        self.distribution = distribution
        self.noise: th.Tensor | None = None

    def __call__(self, observations: Any) -> npt.NDArray[Any]:
        if self.dataset.info.normalization is not None:
            observations = self.dataset.info.normalization(observations)
        info = self.dataset.info
        normalize_images = info.policy_kwargs.get("normalize_images", True)
        device = self.dataset.labels.device
        inputs = preprocess_obs(obs_as_tensor(observations, device), info.observation_space, normalize_images)
        outputs, latent = self.learners.outputs(inputs, self.distribution.state_dependent)
        if not self.deterministic and (latent is None or self.noise is None):  # gSDE keeps its exploration matrices
            latent_dim = None if latent is None else latent.shape[1]
            self.noise = self.distribution.noise(len(outputs), self.generator, latent_dim).to(device)
        sampled = self.distribution.act(outputs, self.noise, self.dataset.log_std, latent)
        actions: npt.NDArray[Any] = to_env(sampled.cpu().numpy(), self.dataset.info.action_space, self.distribution.squashes)
        return actions


def _play(venv: VecEnv, actor: _Player, n_learners: int, n_episodes: int, progress_bar: bool) -> Returns:
    """Each environment plays the same number of episodes (short ones must not count more), the first ones one more."""
    per_learner = venv.num_envs // n_learners
    quota = np.full(per_learner, n_episodes // per_learner)
    quota[: n_episodes % per_learner] += 1
    quota = np.tile(quota, n_learners)
    returns = np.zeros((n_learners, n_episodes))
    finished = np.zeros(n_learners, dtype=int)
    running = np.zeros(venv.num_envs)
    # Where there is a monitor, it knows the true return, and where an episode ends (a lost life may only look like it).
    monitored = is_vecenv_wrapped(venv, VecMonitor) or venv.env_is_wrapped(Monitor)[0]
    observations = venv.reset()
    with tqdm(total=n_learners * n_episodes, unit="episode", disable=not progress_bar) as bar:
        while quota.any():
            actions = actor(observations)
            observations, rewards, dones, infos = venv.step(actions)
            running += rewards
            for i in np.flatnonzero(dones).tolist():
                if monitored and "episode" not in infos[i]:
                    continue
                if quota[i]:
                    learner = i // per_learner
                    returns[learner, finished[learner]] = infos[i]["episode"]["r"] if monitored else running[i]
                    finished[learner] += 1
                    quota[i] -= 1
                    bar.update()
                running[i] = 0.0
    return returns
