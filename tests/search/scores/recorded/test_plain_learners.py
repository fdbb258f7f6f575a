"""TD3+BC and IQL of a stack take the steps of the plain algorithms, written with one module for each network."""

import copy

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from torch.nn.functional import cross_entropy, mse_loss

from sb3_distill.networks.anatomy import actor_of, critic_of
from sb3_distill.networks.stacked import write_parameters
from sb3_distill.offline import record
from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.scores.networks import template
from sb3_distill.search.scores.recorded.iql import IQLSettings, StackedIQL
from sb3_distill.search.scores.recorded.td3_bc import NOISE, StackedTD3BC, TD3BCSettings
from sb3_distill.search.scores.recorded.transitions import Transitions

NETWORK = PolicyArchitecture((16, 16), "silu", layer_norm=True)
SEED, RATE, N_STEPS = 3, 1e-2, 6


class Plain:
    """The networks of a stack of one as modules."""

    def __init__(self, learner, policy):
        space = policy.action_space
        self.is_real = isinstance(space, spaces.Box)
        self.actor = copy.deepcopy(actor_of(policy))
        write_parameters(self.actor, learner.actors.params)
        self.values = copy.deepcopy(critic_of(policy))
        critic = actor_of(policy)
        if self.is_real:
            n_inputs = policy.observation_space.shape[0] + space.shape[0]
            critic = critic_of(template(NETWORK, spaces.Box(-np.inf, np.inf, (n_inputs,)), spaces.Box(-1, 1, (1,))))
        self.critics = [copy.deepcopy(critic) for _ in range(2)]
        for i, one in enumerate(self.critics):
            write_parameters(one, learner.critics._table.parts["q"], i)
        self.targets = copy.deepcopy(self.critics)
        self.actor_target = copy.deepcopy(self.actor)

    def q(self, networks, seen, actions):
        if self.is_real:
            return [network(th.cat([seen, actions], dim=1)).squeeze(1) for network in networks]
        return [network(seen).gather(1, actions.long()).squeeze(1) for network in networks]


def follow(targets, networks, tau):
    with th.no_grad():
        for target, network in zip(targets, networks, strict=True):
            for one, other in zip(target.parameters(), network.parameters(), strict=True):
                one.mul_(1 - tau).add_(tau * other)


def step(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def adam(networks, more=()):
    return th.optim.Adam([*(value for network in networks for value in network.parameters()), *more], lr=RATE)


def play_of(env_id):
    play = record("random", env=env_id, n_steps=600, n_envs=2, seed=0)
    policy = template(NETWORK, play.observation_space, play.action_space)
    rows = th.randint(len(play), (N_STEPS, 32), generator=th.Generator().manual_seed(0))
    return policy, Transitions(play), rows


def assert_same(learner, actor):
    for name, value in actor.named_parameters():
        th.testing.assert_close(learner.actors.params[name][0], value, atol=2e-5, rtol=1e-3, check_stride=False)


def test_td3_bc():
    policy, play, rows = play_of("Pendulum-v1")
    settings = TD3BCSettings(tau=0.1)
    learner = StackedTD3BC(policy, [SEED], play, RATE, settings=settings)
    plain, noise = Plain(learner, policy), th.Generator().manual_seed(SEED + NOISE)
    of_critics, of_actor = adam(plain.critics), adam([plain.actor])
    for i, chosen in enumerate(rows):
        learner.step(chosen[None])
        seen, behind = play.seen(chosen[None])[0], play.seen_behind(chosen[None])[0]
        actions = play.actions[chosen] / 2
        with th.no_grad():
            disturbed = plain.actor_target(behind).tanh()
            disturbed = disturbed + (0.2 * th.randn(disturbed.shape, generator=noise)).clamp(-0.5, 0.5)
            best = th.min(*plain.q(plain.targets, behind, disturbed.clamp(-1, 1)))
            target = play.rewards[chosen] + 0.99 * play.goes_on[chosen] * best
        step(of_critics, sum(mse_loss(value, target) for value in plain.q(plain.critics, seen, actions)))
        if i % 2:
            done = plain.actor(seen).tanh()
            value = plain.q(plain.critics, seen, done)[0]
            step(of_actor, mse_loss(done, actions) - 2.5 / value.abs().mean().detach() * value.mean())
            follow([*plain.targets, plain.actor_target], [*plain.critics, plain.actor], 0.1)
    assert_same(learner, plain.actor)


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "CartPole-v1"])
def test_iql(env_id):
    policy, play, rows = play_of(env_id)
    learner = StackedIQL(policy, [SEED], play, RATE, settings=IQLSettings(tau=0.1))
    plain, log_std = Plain(learner, policy), th.zeros(1, requires_grad=True)
    write_parameters(plain.values, learner._table.parts["values"])
    of_critics, of_others = adam(plain.critics), adam([plain.actor, plain.values], [log_std])
    for chosen in rows:
        learner.step(chosen[None])
        seen, behind, actions = play.seen(chosen[None])[0], play.seen_behind(chosen[None])[0], play.actions[chosen]
        with th.no_grad():
            best = th.min(*plain.q(plain.targets, seen, actions))
        above = best - plain.values(seen).squeeze(1)
        value_loss = ((0.7 - (above < 0).float()).abs() * above.square()).mean()
        weights = (3 * above.detach()).exp().clamp(max=100)
        if plain.is_real:
            surprise = -th.distributions.Normal(plain.actor(seen), log_std.exp()).log_prob(actions).sum(dim=1)
        else:
            surprise = cross_entropy(plain.actor(seen), actions[:, 0].long(), reduction="none")
        step(of_others, value_loss + (weights * surprise).mean())
        with th.no_grad():
            target = play.rewards[chosen] + 0.99 * play.goes_on[chosen] * plain.values(behind).squeeze(1)
        step(of_critics, sum(mse_loss(value, target) for value in plain.q(plain.critics, seen, actions)))
        follow(plain.targets, plain.critics, 0.1)
    assert_same(learner, plain.actor)
    if plain.is_real:
        assert learner.actors.log_std.item() == pytest.approx(log_std.item(), rel=1e-3)
