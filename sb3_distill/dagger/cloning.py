"""Distilling an agent in one call."""

from typing import Any

from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.vec_env import VecNormalize, is_vecenv_wrapped

from sb3_distill.dagger.algorithm import DAgger
from sb3_distill.dagger.expert import Expert
from sb3_distill.dagger.trial import is_vector, warn_if_it_plays_like_chance
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.environments.foreign.hand_over import EnvSource, environments_from
from sb3_distill.environments.make import as_vec_env
from sb3_distill.errors import ArgumentError


def clone(
    expert: Expert | BasePolicy,
    env: EnvSource,
    total_timesteps: int = 500_000,
    n_envs: int = 64,
    progress_bar: bool = False,
    policy: str | type[ActorCriticPolicy] = "MlpPolicy",
    seed: int | None = 0,
    **kwargs: Any,
) -> DAgger:
    """
    Distil an agent, with normalised observations where they are plain vectors. An agent without statistics plays a few
    episodes before, and a warning says when it gets no more than random actions do.

    :param expert: the agent, or a policy that takes observations as they are: an ensemble for instance
    :param env: the environment: an id, an instance, a class, a function (of a number of environments, which makes a
        ``VecEnv``, or of nothing, which makes one environment), a ``VecEnv``, or what ``gym.make_vec`` returns
    :param total_timesteps: steps of all environments; the agent may need a rollout of its own before, for statistics
    :param n_envs: number of environments, where ``env`` does not decide it
    :param progress_bar: whether to show a progress bar
    :param policy: policy of the learners
    :param seed: seed of environments, learners and minibatches
    :param kwargs: further arguments of ``DAgger``
    :return: the algorithm, with its ``dataset``
    :raises ValueError: if the agent was trained for other spaces, or there are no steps
    :raises FloatingPointError: if an observation or a reward is not finite
    """
    if isinstance(expert, BasePolicy):
        expert = Expert(expert)
    if not isinstance(expert, Expert):
        raise ArgumentError(
            f"`expert` must be an Expert, got a {type(expert).__name__}: Expert(model.policy) makes one, or Expert.load(path)"
        )
    if total_timesteps < 1:
        raise ArgumentError(f"`total_timesteps` must be at least 1, got {total_timesteps}")
    source = "initial_dataset" if kwargs.get("initial_dataset") is not None else "encoder_from"
    initial: SyntheticDataset | None = None
    if kwargs.get(source) is not None:
        initial = kwargs[source] = SyntheticDataset.of(kwargs[source])
    venv, is_ours = environments_from(env, n_envs, seed)
    normalize = is_vector(venv.observation_space) if initial is None else initial.info.normalization is not None
    try:
        shown = as_vec_env(venv)  # images as the agent sees them
        expert.check_spaces(shown.observation_space, shown.action_space)
        expert.check_masks(shown)
        warn_if_it_plays_like_chance(expert, shown, total_timesteps)
        is_inside = kwargs.setdefault("normalize", False) is not False
        if normalize and not is_inside and not is_vecenv_wrapped(venv, VecNormalize):
            venv = VecNormalize(venv, norm_reward=False)
        return DAgger(policy, venv, expert, seed=seed, **kwargs).learn(total_timesteps, progress_bar=progress_bar)
    finally:
        if is_ours:
            venv.close()
