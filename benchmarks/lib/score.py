"""Scores of datasets, and of policies that see nothing."""

from collections.abc import Callable, Mapping

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv

from sb3_distill import SyntheticDataset, evaluate_learners, make_vec_env
from sb3_distill.typing import Array, Json

WAYS = ("sampled", "greedy")


def play(env: VecEnv, act: Callable[[], Array], n_episodes: int) -> list[float]:
    """
    :param env: environments to play in
    :param act: function that returns actions for all of them
    :param n_episodes: number of episodes that end, at least
    :return: the returns of the first episodes that end
    """
    env.reset()
    returns: list[float] = []
    while len(returns) < n_episodes:
        returns += [info["episode"]["r"] for info in env.step(act())[3] if "episode" in info]
    return returns


def random_policy(env_id: str) -> Json:
    """Uniform actions, 100 episodes."""
    env = make_vec_env(env_id, 50, seed=0)
    returns = play(env, lambda: np.stack([env.action_space.sample() for _ in range(50)]), 100)
    env.close()
    return {"sampled": {"mean": sum(returns) / len(returns)}, "seconds": 0.0, "steps": 0}


def score(dataset: SyntheticDataset, **kwargs: object) -> Json:
    """
    :param dataset: set that teaches 100 fresh learners, in the environment that it names
    :param kwargs: arguments of ``evaluate_learners`` instead of those here
    :return: summaries of sampled and of greedy actions, and the mean return of each learner
    """
    evaluate: Json = {"n_learners": 100, "n_episodes": 1, "seed": 1000, **kwargs}
    evaluations = {way: evaluate_learners(dataset, deterministic=way == "greedy", **evaluate) for way in WAYS}
    returns = {way: evaluation.returns.mean(1).round(2).tolist() for way, evaluation in evaluations.items()}
    return {**{way: evaluation.summary() for way, evaluation in evaluations.items()}, "returns": returns}


def mean_return(model: BaseAlgorithm, env: VecEnv, n_episodes: int, deterministic: bool = True) -> float:
    """Mean return of an SB3 model."""
    return float(np.mean(evaluate_policy(model, env, n_episodes, deterministic=deterministic, warn=False)[0]))


def best(entry: Mapping[str, Json]) -> float:
    """The better mean of sampled and greedy."""
    return float(max(entry[way]["mean"] for way in WAYS if way in entry))


def best_of(datasets: list[SyntheticDataset], make_env: Callable[[int], VecEnv]) -> SyntheticDataset:
    """
    :param datasets: sets to choose from
    :param make_env: function of a number of environments that makes these, where learning went on
    :return: the best, by other learners than those that are reported
    """
    return max(datasets, key=lambda dataset: best(score(dataset, n_learners=30, seed=2000, env=make_env)))
