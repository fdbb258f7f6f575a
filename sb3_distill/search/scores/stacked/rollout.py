"""M policies play, each in environments of its own, and what they did gets advantages."""

from collections.abc import Callable
from typing import NamedTuple, cast

import numpy as np
import torch as th
from stable_baselines3.common.vec_env import VecEnv

from sb3_distill.environments.finite import check_observations
from sb3_distill.environments.foreign.copies import copied, own_steps
from sb3_distill.errors import NotFiniteError
from sb3_distill.search.scores.stacked.acting import StackedActors
from sb3_distill.search.scores.stacked.normalizer import StackedNormalizer
from sb3_distill.trees import map_leaves, stack
from sb3_distill.typing import Array, Observations, RawObservations

Values = Callable[[Observations], th.Tensor]
"""From preprocessed observations ``(M, b, ...)`` to values ``(M, b)``."""


class Rollout(NamedTuple):
    """
    Transitions of M policies, N each: those of the first environment of a policy first, as SB3's buffer orders them.

    :param observations: preprocessed observations ``(M, N, ...)``
    :param actions: actions as policies gave them ``(M, N, dimensions)``
    :param log_probs: their log-probabilities ``(M, N)``
    :param advantages: generalised advantages ``(M, N)``
    :param returns: targets of the critics ``(M, N)``
    """

    observations: Observations
    actions: th.Tensor
    log_probs: th.Tensor
    advantages: th.Tensor
    returns: th.Tensor


class Played(NamedTuple):
    """
    What environments showed in T steps.

    :param observations: T arrays ``(M * n, *obs)``
    :param actions: actions as policies gave them ``(T, M * n, dimensions)``
    :param rewards: rewards ``(T, M * n)``
    :param starts: whether an episode begins at a step, and behind the last one ``(T + 1, M * n)``
    :param last_observations: observations behind the last step ``(M * n, *obs)``
    :param cut: step, environment and last observation of each episode that a time limit ended
    """

    observations: list[RawObservations]
    actions: Array
    rewards: Array
    starts: Array
    last_observations: RawObservations
    cut: list[tuple[int, int, RawObservations]]


class Stage:
    """
    Environments of M policies, which go on from rollout to rollout.

    :param env: environments, an equal share for each policy, those of the first policy first
    :param normalizer: normalises what is shown and paid, and learns to; ``None`` for raw observations and rewards
    """

    def __init__(self, env: VecEnv, normalizer: StackedNormalizer | None = None) -> None:
        self.n_envs, self._normalizer = env.num_envs, normalizer
        last, self._step = own_steps(env, env.reset())
        self._last = cast(RawObservations, last)
        self._starts = np.ones(env.num_envs, dtype=np.float32)
        self._n_steps = 0
        check_observations(self._last, 0)
        if normalizer is not None:
            self._last = normalizer.see(self._last)

    def play(self, actors: StackedActors, noise: th.Tensor) -> Played:
        """
        :param actors: the policies
        :param noise: noise of each step ``(T, M * n, n_outputs)``
        :return: T steps
        :raises FloatingPointError: if an observation or a reward is not finite
        """
        observations, actions, rewards, starts = [], [], [], [self._starts]
        cut: list[tuple[int, int, RawObservations]] = []
        for t in range(len(noise)):
            observations.append(self._last)
            taken = actors.act(actors.see(self._last), noise[t])
            shown, paid, dones, infos = self._step(actors.to_env(taken))
            self._n_steps += 1
            check_observations(shown, self._n_steps)
            self._last, paid = self._normalized(cast(RawObservations, shown), paid, dones)
            actions.append(taken.reshape(self.n_envs, -1))
            rewards.append(np.asarray(paid, dtype=np.float32))
            for i in np.flatnonzero(dones).tolist():
                if infos[i].get("TimeLimit.truncated", False) and infos[i].get("terminal_observation") is not None:
                    cut.append((t, i, self._normalized_last(infos[i]["terminal_observation"], i)))
            starts.append(np.asarray(dones, dtype=np.float32))
        self._starts = starts[-1]
        played = Played(observations, np.stack(actions), np.stack(rewards), np.stack(starts), self._last, cut)
        if not np.isfinite(played.rewards).all():
            raise NotFiniteError("a reward is NaN or infinite: the environment must pay finite rewards")
        return played

    def _normalized(self, shown: RawObservations, paid: Array, dones: Array) -> tuple[RawObservations, Array]:
        if self._normalizer is None:
            return shown, paid
        return self._normalizer.see(shown), self._normalizer.pay(paid, dones)

    def _normalized_last(self, observation: RawObservations, i: int) -> RawObservations:
        observation = copied(observation)
        if self._normalizer is None:
            return observation
        return self._normalizer.one(observation, i * self._normalizer.n_policies // self.n_envs)


@th.no_grad()
def with_advantages(
    played: Played,
    actors: StackedActors,
    values: Values,
    log_prob: Callable[[Observations, th.Tensor], th.Tensor],
    gamma: float,
    gae_lambda: float,
) -> Rollout:
    """
    Values and log-probabilities are computed for all steps at once, since policies do not change meanwhile.

    :param played: T steps
    :param actors: the policies that played
    :param values: values of observations
    :param log_prob: log-probabilities of actions for observations
    :param gamma: discount
    :param gae_lambda: weight of later rewards against values
    :return: the transitions
    """
    m, t = actors.n_actors, len(played.rewards)
    shown = map_leaves(lambda leaf: np.ascontiguousarray(leaf.swapaxes(0, 1)), stack(played.observations))
    seen = actors.see(map_leaves(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), shown))
    actions = th.as_tensor(played.actions.swapaxes(0, 1).copy()).float().view(m, -1, played.actions.shape[2])
    predicted = values(seen)  # (M, n * T)
    last = values(actors.see(played.last_observations)).flatten().numpy()
    rewards = played.rewards + gamma * _values_of_cut(played, actors, values)
    by_step = predicted.view(-1, t).T.numpy()
    advantages = generalised_advantages(rewards, by_step, last, played.starts, gamma, gae_lambda)
    advantage = th.as_tensor(advantages.T.copy()).view(m, -1)
    return Rollout(seen, actions, log_prob(seen, actions), advantage, advantage + predicted)


def generalised_advantages(
    rewards: Array, values: Array, last_values: Array, starts: Array, gamma: float, gae_lambda: float
) -> Array:
    """
    Schulman et al. 2016, https://arxiv.org/abs/1506.02438, as SB3's ``RolloutBuffer`` computes them.

    :param rewards: rewards ``(T, n)``
    :param values: values of the observations before each step ``(T, n)``
    :param last_values: values of the observations behind the last step ``(n,)``
    :param starts: whether an episode begins at a step, and behind the last one ``(T + 1, n)``
    :param gamma: discount
    :param gae_lambda: weight of later rewards against values
    :return: advantages ``(T, n)``
    """
    goes_on = 1.0 - starts[1:]
    following = np.concatenate([values[1:], last_values[None]])
    advantages = rewards + gamma * following * goes_on - values
    for t in range(len(rewards) - 2, -1, -1):
        advantages[t] += gamma * gae_lambda * goes_on[t] * advantages[t + 1]
    return advantages


def _values_of_cut(played: Played, actors: StackedActors, values: Values) -> Array:
    """Values of the last observations of episodes that a time limit ended, at their steps, 0 elsewhere ``(T, M * n)``."""
    added = np.zeros_like(played.rewards)
    if not played.cut:
        return added
    per_actor = added.shape[1] // actors.n_actors
    shares: list[list[tuple[int, int, RawObservations]]] = [[] for _ in range(actors.n_actors)]
    for one in played.cut:
        shares[one[1] // per_actor].append(one)
    length = max(map(len, shares))
    filler = played.cut[0]  # policies see equally many; what they make of this one is not used
    padded = [one for share in shares for one in (*share, *[filler] * (length - len(share)))]
    predicted = values(actors.see(stack([observation for _, _, observation in padded]))).numpy()
    for share, row in zip(shares, predicted, strict=True):
        for (t, i, _), value in zip(share, row, strict=False):
            added[t, i] = value
    return added
