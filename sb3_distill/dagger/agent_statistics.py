"""Statistics of observations that an agent has learned with, or sees while it plays."""

from stable_baselines3.common.vec_env import VecEnv

from sb3_distill.dagger.expert import Expert
from sb3_distill.dataset.normalization import Normalization
from sb3_distill.environments.foreign.copies import own_steps
from sb3_distill.environments.vec_normalize import statistics_of_keys
from sb3_distill.online.normalizing.normalizer import Normalizer


def take_statistics(normalizer: Normalizer, expert: Expert, env: VecEnv, n_steps: int) -> int:
    """
    :param normalizer: gets the statistics of the agent, or those of a rollout of the agent where it has none
    :param expert: the agent
    :param env: the environments, whose observations are numbers in a row
    :param n_steps: steps of each environment in the rollout
    :return: steps of all environments that were made
    """
    source = expert.normalization
    if source is not None and source.norm_obs:
        rms = statistics_of_keys(source)[None]
        normalizer.continue_from(Normalization(rms.mean, rms.var, source.clip_obs, source.epsilon), None)
        return 0
    observations, step = own_steps(env, env.reset())
    normalizer.start(observations)  # type: ignore[arg-type]
    for _ in range(n_steps):
        observations, rewards, dones, _infos = step(expert(observations, expert.masks_of(env)))  # type: ignore[arg-type]
        normalizer.step(observations, rewards, dones)  # type: ignore[arg-type]
    return n_steps * env.num_envs
