"""What points of a landscape do in the environment: returns of all at once, and the experience of one."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.utils import obs_as_tensor

from sb3_distill.environments.foreign.copies import own_steps
from sb3_distill.environments.foreign.hand_over import EnvSource
from sb3_distill.environments.vec_normalize import raw_observations
from sb3_distill.errors import UnsupportedError
from sb3_distill.evaluation.protocol import evaluate_learners, make_environments
from sb3_distill.evaluation.result import Returns
from sb3_distill.landscape.maths.objectives import clipped_surrogate, rewards_to_go
from sb3_distill.landscape.points.shape import Shape, inputs_of
from sb3_distill.teaching.acting import normalize
from sb3_distill.typing import RawObservations

N_ENVS, N_STEPS = 1024, 60
"""Environments whose first episodes are experience (of simulators fewer), and steps of each at most."""
FLOOR_EPISODES = 50
"""Episodes of the untaught network, whose return counts as nothing."""
GAMMA = 0.99
"""Discount factor of advantages."""


class Experience(NamedTuple):
    """
    Steps that one policy made with sampled actions.

    :param inputs: observations as the stacked networks see them ``(n, ...)``
    :param actions: ``(n, dimensions)``
    :param log_prob: log-probabilities of the actions when they were taken ``(n,)``
    :param advantages: see ``objectives.rewards_to_go`` ``(n,)``
    """

    inputs: th.Tensor
    actions: th.Tensor
    log_prob: th.Tensor
    advantages: th.Tensor

    def halves(self) -> "tuple[Experience, Experience]":
        """Every other step, and the rest."""
        return Experience(*(part[::2] for part in self)), Experience(*(part[1::2] for part in self))


@dataclass(frozen=True)
class Arena:
    """
    Where points play.

    :param shape: their shape
    :param env: see ``evaluate_learners``, as for the parameters that follow; ``None`` for the dataset's
    :param max_envs: largest number of environments
    :param seed: seed of environments and actions
    """

    shape: Shape
    env: EnvSource | None = None
    max_envs: int | None = None
    seed: int = 0

    def returns(self, points: th.Tensor, n_episodes: int, deterministic: bool = True, env: EnvSource | None = None) -> Returns:
        """
        :param points: parameters ``(M, d)``, which all play at once
        :param n_episodes: number of episodes of each
        :param deterministic: whether the most likely action is taken
        :param env: another environment
        :return: return of each episode ``(M, n_episodes)``; NaN for points that diverged, which do not play
        """
        finite = self.finite(points)
        players = th.where(finite.unsqueeze(1), points, 0.0)
        returns = evaluate_learners(
            self.shape.dataset, len(points), n_episodes, deterministic, env=self.env if env is None else env,
            teach=lambda _: self.shape.learners(players), max_envs=self.max_envs, seed=self.seed,
        ).returns  # fmt: skip
        return np.where(finite.cpu().numpy()[:, None], returns, np.nan)

    def floor(self, initial: th.Tensor) -> float:
        """
        The return that counts as nothing: that of the untaught network with sampled actions. Its greedy actions hardly depend
        on what it sees, and may be lucky: one push for ever keeps some poles up for long.

        :param initial: parameters of the untaught network ``(d,)``
        :return: mean return
        """
        return float(self.returns(initial.unsqueeze(0), FLOOR_EPISODES, deterministic=False).mean())

    @th.no_grad()
    def finite(self, points: th.Tensor) -> th.Tensor:
        """
        :param points: parameters ``(M, d)``
        :return: which of them are finite, and have finite outputs on an observation of the set ``(M,)``
        """
        outputs = self.shape.outputs(points, inputs_of(self.shape)[:1])
        return points.isfinite().all(dim=1) & outputs.isfinite().all(dim=2).all(dim=1)

    @th.no_grad()
    def experience(self, point: th.Tensor, n_envs: int = N_ENVS, n_steps: int = N_STEPS, seed: int = 0) -> Experience:
        """
        :param point: parameters ``(d,)`` of the policy that acts
        :param n_envs: number of environments, of each of which the first episode counts
        :param n_steps: number of steps at most
        :param seed: seed of environments and actions, beside that of the arena
        :return: the steps
        :raises TypeError: for policies that explore by gSDE, whose noise is no part of one step
        """
        shape, actor = self.shape, self.shape.actor
        if shape.distribution.state_dependent:
            raise UnsupportedError("policy gradients of gSDE are not drawn: make the landscape of a set without use_sde")
        learners, generator = shape.learners(point.unsqueeze(0)), th.Generator()
        generator.manual_seed(self.seed + 7919 * (seed + 1))
        venv, is_ours = make_environments(shape.dataset, self.env, 1, n_envs, self.max_envs, ())
        seen: list[th.Tensor] = []
        actions, rewards, alive = [], [], []
        try:
            venv.seed(self.seed + 7919 * (seed + 1))
            with raw_observations(venv):
                observations, step = own_steps(venv, venv.reset())
                running = np.ones(venv.num_envs, dtype=bool)
                while len(seen) < n_steps and running.any():
                    outputs = actor.see(learners, observations)  # type: ignore[arg-type]
                    noise = shape.distribution.noise(venv.num_envs, generator)
                    action = actor.sample(outputs, noise)
                    seen.append(self._inputs(observations))  # type: ignore[arg-type]
                    actions.append(th.as_tensor(action).reshape(venv.num_envs, -1))
                    alive.append(running.copy())
                    observations, reward, done, _ = step(actor.to_env(action))
                    rewards.append(reward.copy())
                    running &= ~done
        finally:
            if is_ours:
                venv.close()
        mask = th.as_tensor(np.stack(alive))
        advantages = rewards_to_go(th.as_tensor(np.stack(rewards), dtype=th.float32), mask.float(), GAMMA)
        inputs, taken = th.stack(seen)[mask], th.stack(actions)[mask]
        return Experience(inputs, taken, self.log_prob(point.unsqueeze(0), inputs, taken)[0], advantages[mask].to(inputs))

    def _inputs(self, observations: RawObservations) -> th.Tensor:
        """Raw observations as the stacked networks see them."""
        raw = normalize(self.shape.dataset, observations)
        inputs = self.shape.actor.preprocess(obs_as_tensor(raw, self.shape.dataset.labels.device))  # type: ignore[arg-type]
        inputs = inputs if self.shape.encode is None else self.shape.encode(inputs)
        assert isinstance(inputs, th.Tensor)
        return inputs

    def log_prob(self, points: th.Tensor, inputs: th.Tensor, actions: th.Tensor) -> th.Tensor:
        """
        :param points: parameters ``(M, d)``
        :param inputs: what the networks see ``(n, ...)``
        :param actions: ``(n, dimensions)``
        :return: log-probabilities ``(M, n)``, differentiable with respect to the points
        """
        outputs = self.shape.outputs(points, inputs).flatten(0, 1)
        repeated = actions.repeat(len(points), 1)
        if isinstance(self.shape.dataset.info.action_space, spaces.Discrete):
            repeated = repeated.squeeze(1)
        flat = self.shape.distribution.log_prob(outputs, repeated, self.shape.dataset.log_std)
        return flat.view(len(points), -1)

    def surrogate(self, points: th.Tensor, experience: Experience, clip_range: float = 0.1) -> th.Tensor:
        """
        :param points: parameters ``(M, d)``
        :param experience: what is scored; its actions are those of one policy
        :param clip_range: epsilon
        :return: PPO's actor loss ``(M,)``; its gradient at the policy that acted is minus the policy gradient
        """
        log_prob = self.log_prob(points, experience.inputs, experience.actions)
        return clipped_surrogate(log_prob, experience.log_prob, experience.advantages, clip_range)
