"""The rollout buffer: SB3's, read so that each minibatch has every learner."""

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from contract import ACTIONS, BOX, VECTORS, make, spaces_env
from gymnasium import spaces
from helpers import SMALL, small_env
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer

from sb3_distill import PPMO
from sb3_distill.online.buffers import DictLearnerRolloutBuffer, LearnerRolloutBuffer


def test_minibatches_hold_each_learners_own_transitions():
    buffer = LearnerRolloutBuffer(6, gym.spaces.Box(-1, 1, (1,)), gym.spaces.Discrete(2), n_envs=4, n_learners=2)
    for step in range(6):
        obs = np.arange(4, dtype=np.float32).reshape(4, 1) + step / 10
        buffer.add(obs, np.zeros((4, 1)), np.zeros(4), np.zeros(4), th.zeros(4), th.zeros(4))
    buffer.compute_returns_and_advantage(th.zeros(4), np.zeros(4))
    batches = list(buffer.get(8))
    for batch in batches:
        learner_of = batch.observations.flatten().floor().long() // 2
        assert learner_of.tolist() == [0] * 4 + [1] * 4
    everything = th.cat([batch.observations.flatten() for batch in batches])
    assert len(everything.unique()) == 24


def test_foreign_buffers_are_refused():
    with pytest.raises(ValueError, match="`rollout_buffer_class` must derive from LearnerRolloutBuffer"):
        PPMO("MlpPolicy", small_env(), rollout_buffer_class=RolloutBuffer, **SMALL)


def test_other_buffers_are_refused():
    with pytest.raises(ValueError, match="must derive from LearnerRolloutBuffer.*DictRolloutBuffer does not"):
        make(spaces_env(VECTORS), rollout_buffer_class=DictRolloutBuffer)


def filled(kind, space, n_steps, n_envs, **kwargs):
    """A buffer of random transitions, and of the same in SB3's class."""
    rng = np.random.default_rng(0)
    buffers = [
        cls(n_steps, space, ACTIONS["Discrete"], n_envs=n_envs, **given) for cls, given in zip(kind, ({}, kwargs), strict=True)
    ]
    for _ in range(n_steps):
        observations = [space.sample() for _ in range(n_envs)]
        if isinstance(space, spaces.Dict):
            observations = {key: np.stack([observation[key] for observation in observations]) for key in space}
        else:
            observations = np.stack(observations)
        row = [rng.integers(3, size=(n_envs, 1)), rng.normal(size=n_envs), rng.integers(2, size=n_envs)]
        row += [th.as_tensor(rng.normal(size=n_envs), dtype=th.float32) for _ in range(2)]
        for buffer in buffers:
            buffer.add(observations, *row)
    for buffer in buffers:
        buffer.compute_returns_and_advantage(th.zeros(n_envs), np.zeros(n_envs))
    return buffers


KINDS = {
    "Box": (BOX, (RolloutBuffer, LearnerRolloutBuffer)),
    "Dict": (VECTORS, (DictRolloutBuffer, DictLearnerRolloutBuffer)),
}


@pytest.mark.parametrize("space, kind", KINDS.values(), ids=KINDS)
def test_transitions_are_sb3s(space, kind):
    theirs, ours = filled(kind, space, 5, 4, n_learners=2)
    (expected,), (samples,) = theirs.get(), ours.get()

    def table(batch):
        """Transitions as rows, in one order."""
        observations = (
            th.cat([*batch.observations.values()], dim=1) if isinstance(batch.observations, dict) else batch.observations
        )
        columns = [batch.old_values, batch.old_log_prob, batch.advantages, batch.returns]
        rows = th.cat([observations.float(), batch.actions.float(), th.stack(columns, dim=1)], dim=1)
        return rows[rows[:, -1].argsort()]

    th.testing.assert_close(table(samples), table(expected), rtol=0, atol=0)


def test_minibatches_have_a_share_of_every_learner_and_the_last_may_be_short():
    _, buffer = filled(KINDS["Box"][1], BOX, 5, 4, n_learners=2)
    assert [len(batch.actions) for batch in buffer.get(8)] == [8, 8, 4]
    assert [len(batch.actions) for batch in buffer.get(1)] == [2] * 10  # never less than one transition of each
    assert [len(batch.actions) for batch in buffer.get()] == [20]


def test_the_generator_decides_the_order():
    def order(seed):
        _, buffer = filled(KINDS["Box"][1], BOX, 5, 4, n_learners=2, generator=th.Generator().manual_seed(seed))
        th.manual_seed(seed + 10)  # is not asked
        return th.cat([batch.old_values for batch in buffer.get(4)])

    assert order(0).equal(order(0))
    assert not order(0).equal(order(1))


def test_a_buffer_is_read_when_it_is_full():
    buffer = LearnerRolloutBuffer(4, BOX, ACTIONS["Discrete"], n_envs=2, n_learners=2)
    with pytest.raises(AssertionError, match="not full"):
        next(buffer.get())
