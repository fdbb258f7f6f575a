"""The stacked PPO is SB3's, policy by policy."""

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers import ImageEnv, ReachEnv
from stable_baselines3 import PPO

from sb3_distill import make_vec_env
from sb3_distill.errors import ArgumentError, NotFiniteError
from sb3_distill.networks.anatomy import actor_of, critic_of
from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.policy import ArchitecturePolicy
from sb3_distill.search.scores.networks import template
from sb3_distill.search.scores.stacked.ppo import PPOSettings, StackedPPO
from sb3_distill.search.scores.stacked.rollout import Rollout, Stage, with_advantages

SMALL = {"n_steps": 24, "batch_size": 20, "n_epochs": 3}  # the last minibatch of an epoch has 8 of 48 transitions
ARCHITECTURES = {
    "tanh": PolicyArchitecture((16, 16), last_gain=1.0),
    "norm": PolicyArchitecture((16,), "silu", layer_norm=True, init="pytorch"),
}


class ChoicesEnv(gym.Env):
    """Several choices at once, cut off after seven steps."""

    observation_space = spaces.Dict({"a": spaces.Box(-1, 1, (2,)), "b": spaces.Discrete(3)})
    action_space = spaces.MultiDiscrete([2, 3])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._see(), {}

    def _see(self):
        return {"a": self.np_random.uniform(-1, 1, 2).astype(np.float32), "b": int(self.np_random.integers(3))}

    def step(self, action):
        self.steps += 1
        return self._see(), float(action.sum()), False, self.steps % 7 == 0, {}


def tall_rewards(env):
    """Gradients that are clipped."""
    return gym.wrappers.TransformReward(env, lambda reward: 50 * reward)


def environments(make):
    return make_vec_env(make, 2, seed=0, wrapper_class=tall_rewards)


def sb3_model(make, architecture, **kwargs):
    with pytest.warns(UserWarning, match="truncated mini-batch of size 8"):
        model = PPO(
            ArchitecturePolicy, environments(make), seed=0, policy_kwargs={"architecture": architecture.to_json()},
            device="cpu", **SMALL, **kwargs,
        )  # fmt: skip
    _, callback = model._setup_learn(48)
    assert model.collect_rollouts(model.env, callback, model.rollout_buffer, SMALL["n_steps"])
    return model


def same_policies(model, architecture, **kwargs):
    """A stack of one with the parameters of a model."""
    policy = template(architecture, model.observation_space, model.action_space)
    ppo = StackedPPO(policy, [0], PPOSettings(**SMALL, **kwargs), model.learning_rate)
    with th.no_grad():
        for part, network in (("actor", actor_of(model.policy)), ("critic", critic_of(model.policy))):
            for name, value in network.named_parameters():
                if name in ppo.table.parts[part]:
                    ppo.table.parts[part][name][0] = value
        if ppo.log_std is not None:
            ppo.log_std[0] = model.policy.log_std
    return ppo


def rollout_of(model, ppo):
    """What SB3's buffer holds, for a stack of one."""
    buffer = model.rollout_buffer
    flat = {name: th.as_tensor(buffer.swap_and_flatten(getattr(buffer, name))).squeeze(-1)[None] for name in (
        "log_probs", "advantages", "returns")}  # fmt: skip
    observations, actions = buffer.observations, th.as_tensor(buffer.swap_and_flatten(buffer.actions)).float()[None]
    if isinstance(observations, dict):
        observations = {key: buffer.swap_and_flatten(value) for key, value in observations.items()}
    else:
        observations = buffer.swap_and_flatten(observations)
    return Rollout(ppo.actors.see(observations), actions, **flat)


def assert_same_policy(model, ppo, atol=2e-6):
    networks = {"actor": actor_of(model.policy), "critic": critic_of(model.policy)}
    for part, network in networks.items():
        for name, value in ppo.table.parts[part].items():
            th.testing.assert_close(value[0], network.get_parameter(name).detach(), atol=atol, rtol=1e-4, check_stride=False)
    if ppo.log_std is not None:
        th.testing.assert_close(ppo.log_std[0].detach(), model.policy.log_std.detach(), atol=atol, rtol=1e-4)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("make", ["CartPole-v1", "Pendulum-v1", ReachEnv, ChoicesEnv])
@pytest.mark.parametrize("ent_coef", [0.0, 0.02])
def test_an_update_is_sb3s(make, name, ent_coef, monkeypatch):
    model = sb3_model(make, ARCHITECTURES[name], ent_coef=ent_coef)
    ppo = same_policies(model, ARCHITECTURES[name], ent_coef=ent_coef)
    rollout = rollout_of(model, ppo)
    before = ppo.table.values.clone()
    orders = [np.random.default_rng(i).permutation(48) for i in range(SMALL["n_epochs"])]
    drawn = iter(orders)
    monkeypatch.setattr(np.random, "permutation", lambda n: next(drawn))
    model.train()
    ppo.update(rollout, [th.as_tensor(order)[None] for order in orders])
    assert (ppo.table.values - before).abs().max() > 1e-3
    assert_same_policy(model, ppo)


def test_an_update_of_shared_convolutions_is_sb3s(monkeypatch):
    architecture = PolicyArchitecture((8,), "relu", convolutions=((2, 8, 8),))
    model = sb3_model(ImageEnv, architecture)
    ppo = same_policies(model, architecture)
    assert not any(name.startswith("features.") for name in ppo.table.parts["critic"])
    rollout = rollout_of(model, ppo)
    order = np.random.default_rng(0).permutation(48)
    monkeypatch.setattr(np.random, "permutation", lambda n: order)
    model.train()
    ppo.update(rollout, [th.as_tensor(order)[None]] * SMALL["n_epochs"])
    assert_same_policy(model, ppo)


class Scripted:
    """Actors that do what somebody else has done."""

    def __init__(self, actors, actions):
        self.actors, self.actions = actors, iter(actions)

    def __getattr__(self, name):
        return getattr(self.actors, name)

    def act(self, seen, noise):
        return next(self.actions)


@pytest.mark.parametrize("make", ["CartPole-v1", ReachEnv, ChoicesEnv])
def test_a_rollout_is_sb3s(make):
    model = sb3_model(make, ARCHITECTURES["tanh"])
    ppo, buffer = same_policies(model, ARCHITECTURES["tanh"]), model.rollout_buffer
    env = environments(make)
    actions = buffer.actions.astype(int) if isinstance(env.action_space, spaces.MultiDiscrete) else buffer.actions
    if isinstance(env.action_space, spaces.Discrete):
        actions = actions[..., 0].astype(int)
    played = Stage(env).play(Scripted(ppo.actors, actions), th.zeros(SMALL["n_steps"], 2, 1))
    assert bool(played.cut) == (make != "CartPole-v1")
    ours = with_advantages(played, ppo.actors, ppo.values, ppo.log_prob, model.gamma, model.gae_lambda)
    theirs = rollout_of(model, ppo)
    th.testing.assert_close(ours.actions, theirs.actions)
    for name in ("log_probs", "advantages", "returns"):
        th.testing.assert_close(getattr(ours, name), getattr(theirs, name), atol=1e-4, rtol=1e-4)
    if isinstance(ours.observations, th.Tensor):
        th.testing.assert_close(ours.observations, theirs.observations)


def random_rollout(m, n, n_inputs, action_space, generator):
    if isinstance(action_space, spaces.Box):
        actions = th.randn((m, n, *action_space.shape), generator=generator)
    else:
        actions = th.randint(action_space.n, (m, n, 1), generator=generator).float()
    numbers = [th.randn((m, n), generator=generator) for _ in range(3)]
    return Rollout(th.randn((m, n, n_inputs), generator=generator), actions, numbers[0] - 1, *numbers[1:])


@pytest.mark.parametrize("action_space", [spaces.Discrete(3), spaces.Box(-1, 1, (2,))])
def test_policies_of_a_stack_do_not_see_each_other(action_space):
    policy = template(ARCHITECTURES["norm"], spaces.Box(-1, 1, (4,)), action_space)
    settings, generator = PPOSettings(**SMALL, ent_coef=0.01), th.Generator().manual_seed(0)
    rollout = random_rollout(3, 48, 4, action_space, generator)
    orders = [th.stack([th.randperm(48, generator=generator) for _ in range(3)]) for _ in range(3)]
    together = StackedPPO(policy, [5, 6, 7], settings, 1e-2)
    together.update(rollout, orders)
    for i, seed in enumerate([5, 6, 7]):
        alone = StackedPPO(policy, [seed], settings, 1e-2)
        alone.update(Rollout(*(part[i : i + 1] for part in rollout)), [order[i : i + 1] for order in orders])
        th.testing.assert_close(together.table.values[i], alone.table.values[0], atol=1e-5, rtol=1e-4)


def test_a_policy_that_diverges_leaves_the_others_alone():
    policy = template(ARCHITECTURES["tanh"], spaces.Box(-1, 1, (4,)), spaces.Discrete(3))
    generator = th.Generator().manual_seed(0)
    rollout = random_rollout(2, 48, 4, spaces.Discrete(3), generator)
    rollout.returns[1, 0] = th.inf
    ppo = StackedPPO(policy, [0, 1], PPOSettings(batch_size=48), 1e-2)
    before = ppo.table.values.clone()
    ppo.update(rollout, [th.arange(48).expand(2, -1)])
    assert ppo.adam.diverged.tolist() == [False, True]
    assert ppo.table.values.isfinite().all()
    assert not th.equal(ppo.table.values[0], before[0])
    assert th.equal(ppo.table.values[1], before[1])


def test_rewards_must_be_finite():
    from helpers import FaultyEnv

    env = make_vec_env(lambda: FaultyEnv(3, "reward"), 2, seed=0)
    ppo = StackedPPO(template(ARCHITECTURES["tanh"], env.observation_space, env.action_space), [0], PPOSettings(), 1e-3)
    with pytest.raises(NotFiniteError, match="reward is NaN or infinite"):
        Stage(env).play(ppo.actors, ppo.actors.noise(5, 2, [th.Generator()]))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"n_steps": 0}, "`n_steps` must be a whole number from 1, got 0"),
        ({"gamma": 1.5}, "`gamma` must be in .0, 1., got 1.5"),
        ({"ent_coef": -1}, "`ent_coef` must be a number from 0, got -1"),
        ({"use_sde": True}, "has no setting 'use_sde'; known are n_steps"),
    ],
)
def test_settings_that_are_none(settings, message):
    with pytest.raises(ArgumentError, match=message):
        PPOSettings.of(settings)
