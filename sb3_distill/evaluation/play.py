"""Learners play episodes."""

from collections.abc import Callable
from typing import cast

import numpy as np
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
from sb3_distill.typing import Array, RawObservations


class ActingLearners:
    """
    Actions of M taught learners for the observations of n environments each.

    :param dataset: normalisation, spaces and exploration noise of the learners
    :param learners: M learners
    :param distribution: distribution of their actions
    :param generator: source of randomness of sampled actions (CPU)
    :param deterministic: whether the most likely action is taken
    """

    def __init__(
        self,
        dataset: SyntheticDataset,
        learners: Learners,
        distribution: ActionDistribution,
        generator: th.Generator,
        deterministic: bool,
    ) -> None:
        self.dataset, self.learners, self.distribution = dataset, learners, distribution
        self.generator, self.deterministic = generator, deterministic
        self.noise: th.Tensor | None = None

    def __call__(self, observations: RawObservations) -> Array:
        """
        :param observations: raw observations ``(M * n, *obs)``, those of the first learner first
        :return: actions as the environments take them ``(M * n, *action)``
        """
        info, device = self.dataset.info, self.dataset.labels.device
        if info.normalization is not None:
            observations = info.normalization(observations)
        tensors = obs_as_tensor(observations, device)  # type: ignore[arg-type]  # SB3 asks for a dict, and reads only
        inputs = preprocess_obs(tensors, info.observation_space, info.policy_kwargs.get("normalize_images", True))
        outputs, latent = self.learners.outputs(inputs, self.distribution.state_dependent)
        if not self.deterministic and (latent is None or self.noise is None):  # gSDE keeps its exploration matrices
            latent_dim = None if latent is None else latent.shape[1]
            self.noise = self.distribution.noise(len(outputs), self.generator, latent_dim).to(device)
        sampled = self.distribution.act(outputs, self.noise, self.dataset.log_std, latent)
        return np.asarray(to_env(sampled.cpu().numpy(), info.action_space, self.distribution.squashes))


def play_episodes(
    venv: VecEnv,
    act: Callable[[RawObservations], Array],
    n_learners: int,
    n_episodes: int,
    progress_bar: bool = False,
) -> Returns:
    """
    Each environment plays the same number of episodes (short ones must not count more), the first ones one more.

    :param venv: environments, an equal share for each learner, those of the first learner first
    :param act: function from raw observations of all environments to actions
    :param n_learners: number of learners
    :param n_episodes: number of episodes of each learner
    :param progress_bar: whether a bar is shown
    :return: undiscounted return of each episode ``(n_learners, n_episodes)``
    """
    per_learner = venv.num_envs // n_learners
    quota = np.full(per_learner, n_episodes // per_learner)
    quota[: n_episodes % per_learner] += 1
    quota = np.tile(quota, n_learners)
    returns = np.zeros((n_learners, n_episodes))
    n_finished = np.zeros(n_learners, dtype=int)
    running = np.zeros(venv.num_envs)
    # A monitor knows the true return, and where an episode ends (a lost life may only look like it).
    monitored = is_vecenv_wrapped(venv, VecMonitor) or venv.env_is_wrapped(Monitor)[0]
    observations = venv.reset()
    with tqdm(total=returns.size, unit="episode", disable=not progress_bar) as bar:
        while quota.any():
            actions = act(cast(RawObservations, observations))  # the type of SB3 has tuples, which no policy takes
            observations, rewards, dones, infos = venv.step(actions)
            running += rewards
            for i in np.flatnonzero(dones).tolist():
                if monitored and "episode" not in infos[i]:
                    continue
                if quota[i]:
                    learner = i // per_learner
                    returns[learner, n_finished[learner]] = infos[i]["episode"]["r"] if monitored else running[i]
                    n_finished[learner] += 1
                    quota[i] -= 1
                    bar.update()
                running[i] = 0.0
    return returns
