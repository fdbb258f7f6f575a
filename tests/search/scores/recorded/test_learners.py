"""Networks that learn from recorded play, in a stack as they would alone."""

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers import ImageEnv, ReachEnv
from recordings import DICT, recording

from sb3_distill.errors import ArgumentError
from sb3_distill.offline import record
from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.scores.networks import template
from sb3_distill.search.scores.recorded.bc import StackedBC, held_out_loss, imitation_losses
from sb3_distill.search.scores.recorded.iql import IQLSettings, StackedIQL
from sb3_distill.search.scores.recorded.td3_bc import StackedTD3BC, TD3BCSettings
from sb3_distill.search.scores.recorded.transitions import Transitions, draw_rows, split
from sb3_distill.search.scores.stacked.acting import mean_returns

NETWORK = PolicyArchitecture((16, 16), "silu", layer_norm=True)
LEARNERS = {"bc": StackedBC, "iql": StackedIQL, "td3+bc": StackedTD3BC}


@pytest.fixture(scope="module")
def cart_pole():
    return record("random", env="CartPole-v1", n_steps=300, seed=0)


@pytest.fixture(scope="module")
def pendulum():
    return record("random", env="Pendulum-v1", n_steps=1_000, n_envs=5, seed=0)


@pytest.fixture(scope="module")
def reach():
    return record("random", env=ReachEnv, n_steps=2_000, seed=0)


def learner_of(name, play, seeds, architecture=NETWORK, rate=1e-3, **settings):
    policy = template(architecture, play.observation_space, play.action_space)
    return LEARNERS[name](policy, seeds, Transitions(play), rate, **settings)


def batches(play, seeds, n, batch_size=32):
    generators = [th.Generator().manual_seed(seed) for seed in seeds]
    return [draw_rows(th.arange(len(play)), batch_size, generators) for _ in range(n)]


@pytest.mark.parametrize(
    "name, kind",
    [("bc", "cart_pole"), ("iql", "cart_pole"), ("bc", "pendulum"), ("iql", "pendulum"), ("td3+bc", "pendulum")],
)
def test_networks_of_a_stack_do_not_see_each_other(name, kind, request):
    play = request.getfixturevalue(kind)
    rows = batches(play, [5, 6, 7], 6)
    together = learner_of(name, play, [5, 6, 7])
    figures = [together.step(one) for one in rows]
    assert all(value.isfinite().all() for step in figures for value in step.values())
    assert not together.diverged.any()
    for i, seed in enumerate([5, 6, 7]):
        alone = learner_of(name, play, [seed])
        for one in rows:
            alone.step(one[i : i + 1])
        for key, value in alone.actors.params.items():
            th.testing.assert_close(together.actors.params[key][i], value[0], atol=2e-5, rtol=1e-3, check_stride=False)


@pytest.mark.parametrize("space", [DICT, ImageEnv.observation_space, spaces.Discrete(5)])
@pytest.mark.parametrize("actions", [spaces.Discrete(3), spaces.MultiDiscrete([2, 3]), spaces.Box(-1, 1, (2,))])
def test_bc_takes_any_spaces(space, actions):
    play = recording(space, actions)
    convolutions = ((2, 8, 8),) if space is ImageEnv.observation_space else ()
    learner = learner_of("bc", play, [0, 1], PolicyArchitecture((8,), "relu", convolutions=convolutions))
    assert learner.step(th.arange(6).expand(2, -1))["loss"].isfinite().all()


def test_iql_sees_images():
    play = recording(ImageEnv.observation_space, spaces.Discrete(3))
    learner = learner_of("iql", play, [0, 1], PolicyArchitecture((8,), "relu", convolutions=((2, 8, 8),)))
    figures = learner.step(th.arange(6).expand(2, -1))
    assert all(value.isfinite().all() for value in figures.values())


def test_losses_of_imitation(pendulum, cart_pole):
    bc = learner_of("bc", cart_pole, [0, 1])
    assert held_out_loss(bc.actors, Transitions(cart_pole), th.arange(50)).tolist() == pytest.approx([np.log(2)] * 2, abs=0.02)
    policy = learner_of("td3+bc", pendulum, [0])
    seen, actions = Transitions(pendulum).seen(th.arange(4)[None]), th.tensor([[[-2.0], [2.0], [1.0], [0.0]]])
    outputs = policy.actors.network(policy.actors.params, seen)
    expected = (2 * outputs.tanh() - actions).square().mean(dim=2)  # the torque is in [-2, 2]
    th.testing.assert_close(imitation_losses(policy.actors, seen, actions), expected)


def test_what_comes_behind_a_step():
    play = recording()
    transitions = Transitions(play)
    shown, last = (np.asarray(values) for values in (play.observations, play.columns.last_observations))
    behind = transitions.seen_behind(th.arange(6)[None])[0].numpy()
    np.testing.assert_allclose(behind, np.stack([shown[1], last[0], *shown[3:], last[1]]), rtol=1e-6)
    assert transitions.goes_on.tolist() == [1, 0, 1, 1, 1, 1]


def test_targets_of_iql_are_expectiles():
    """Of a state with two rewards the value is their expectile, and the actor takes the better action."""
    n = 400
    space = spaces.Box(-1, 1, (1,))
    columns = recording(space, spaces.Discrete(2)).columns._replace(
        observations=np.zeros((n, 1), np.float32), actions=np.arange(n) % 2, rewards=np.arange(n) % 2.0,
        terminated=np.ones(n, bool), truncated=np.zeros(n, bool), ends=np.arange(1, n + 1),
        last_observations=np.zeros((n, 1), np.float32), episode_sources=np.zeros(n, int),
    )  # fmt: skip
    play = recording(space, spaces.Discrete(2), **columns._asdict())
    learner = learner_of("iql", play, [0], rate=1e-2, settings=IQLSettings(expectile=0.9, tau=0.1))
    for rows in batches(play, [0], 400):
        learner.step(rows)
    seen = learner._transitions.seen(th.zeros((1, 1), dtype=th.long))
    assert learner._values(seen).item() == pytest.approx(0.9, abs=0.05)  # the expectile of 0 and 1 is the share itself
    with th.no_grad():
        odds = learner.actors.network(learner.actors.params, seen)[0, 0].diff().item()
    assert odds == pytest.approx(3.0, abs=0.5)  # weights are exp(3 A), and advantages are 1 apart


def test_the_loss_of_action_values_falls(pendulum):
    learner = learner_of("td3+bc", pendulum, [0, 1], settings=TD3BCSettings(gamma=0.5))
    losses = [learner.step(rows)["q_loss"] for rows in batches(pendulum, [0, 1], 300, 64)]
    assert (th.stack(losses[-20:]).mean(dim=0) < 0.2 * th.stack(losses[:20]).mean(dim=0)).all()


@pytest.mark.parametrize("name", ["iql", "td3+bc"])
def test_actors_do_better_than_chance(name, reach):
    settings = IQLSettings(gamma=0.0) if name == "iql" else TD3BCSettings(gamma=0.0, alpha=10.0)
    learner = learner_of(name, reach, [0, 1], rate=3e-3, settings=settings)
    for rows in batches(reach, [0, 1], 600, 64):
        learner.step(rows)
    returns = mean_returns(learner.actors, ReachEnv, 20, 4, [0, 1])
    assert (returns > reach.behaviour_mean / 2).all()  # a return is minus a sum of squares


def test_a_network_that_diverges_leaves_the_others_alone(cart_pole):
    learner = learner_of("iql", cart_pole, [0, 1])
    learner._transitions.rewards[7] = th.inf
    learner.step(th.tensor([[1, 2, 3], [5, 6, 7]]))
    assert learner.diverged.tolist() == [False, True]
    assert all(value.isfinite().all() for value in learner.actors.params.values())


@pytest.mark.parametrize(
    "ends, held_out, expected",
    [
        ([10], 0.3, [7, 8, 9]),
        ([2, 4, 6, 8, 10], 0.2, None),
        ([1, 100], 0.1, None),
        ([2], 0.9, [1]),
    ],
)
def test_whole_episodes_are_held_out_where_there_are_enough(ends, held_out, expected):
    rows, held = split(np.array(ends), held_out, 0)
    assert sorted([*rows.tolist(), *held.tolist()]) == list(range(ends[-1]))
    assert len(rows) > 0
    assert 0 < len(held) <= max(1, 2 * round(held_out * ends[-1]))
    if expected is not None:
        assert held.tolist() == expected


@pytest.mark.parametrize(
    "name, space, actions, message",
    [
        (
            "td3+bc",
            None,
            spaces.Discrete(2),
            "td3.bc is for actions that are real numbers .Box., got Discrete.2.: use iql or bc",
        ),
        ("td3+bc", None, spaces.Box(-np.inf, np.inf, (1,)), "td3.bc needs actions with finite bounds, got Box.-inf, inf"),
        ("td3+bc", DICT, spaces.Box(-1, 1, (1,)), "need observations that are vectors, got Dict"),
        ("iql", DICT, spaces.Box(-1, 1, (1,)), "need observations that are vectors, got Dict"),
        ("iql", None, spaces.MultiDiscrete([2, 2]), "for Discrete actions or a Box, got MultiDiscrete"),
    ],
)
def test_spaces_that_a_method_does_not_take(name, space, actions, message):
    with pytest.raises(ArgumentError, match=message):
        learner_of(name, recording(space, actions), [0])


@pytest.mark.parametrize(
    "settings, values, message",
    [
        (IQLSettings, {"expectile": 1.0}, "`expectile` must be between 0 and 1"),
        (IQLSettings, {"tau": 2}, "`tau` must be in .0, 1."),
        (TD3BCSettings, {"policy_delay": 0}, "`policy_delay` must be a whole number from 1"),
        (TD3BCSettings, {"alpha": -1.0}, "`alpha` must be a number from 0"),
    ],
)
def test_settings_that_are_none(settings, values, message):
    with pytest.raises(ArgumentError, match=message):
        settings(**values)
