"""Vector environments that are not to be trusted, and whatever callers call an environment."""

import functools
from typing import ClassVar

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecTransposeImage

from sb3_distill import PPMO, SyntheticDataset, evaluate_learners, make_vec_env
from sb3_distill.environments.foreign.copies import copied, own_steps, vector_writes_again, writes_again
from sb3_distill.environments.foreign.hand_over import environments_from, may_be_many
from sb3_distill.environments.gymnasium_vec_env import GymnasiumVecEnv, final_observation, split_info
from sb3_distill.environments.random_rollout import random_rollout

CARTPOLE = {"num_envs": 4, "vectorization_mode": "sync"}


class Counting(VectorEnv):
    """Shows how many steps were taken, always in the same array."""

    metadata: ClassVar = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, n=2, length=5, flipped=False):
        self.num_envs, self.length, self.flipped = n, length, flipped
        self.single_observation_space, self.single_action_space = spaces.Box(-99, 99, (3,)), spaces.Discrete(2)
        self.observation_space = batch_space(self.single_observation_space, n)
        self.action_space = batch_space(self.single_action_space, n)
        self.seen, self.final = np.zeros((n, 3), np.float32), np.zeros((n, 3), np.float32)
        self.over = np.zeros(n, bool)

    def look(self, array):
        return array[:, ::-1] if self.flipped else array

    def reset(self, *, seed=None, options=None):
        self.t, self.seen[:] = 0, 0
        return self.look(self.seen), {}

    def step(self, actions):
        self.t += 1
        self.seen[:] = self.final[:] = self.t
        self.over[:] = self.t == self.length
        if self.over.any():
            self.t, self.seen[:] = 0, 0
        info = {"final_obs": self.look(self.final)} if self.over.any() else {}
        return self.look(self.seen), np.ones(self.num_envs), np.zeros(self.num_envs, bool), self.over, info


class OfSomebody(VecEnv):
    """The same as a ``VecEnv`` of another package."""

    def __init__(self, flipped=False):
        self.inner = Counting(flipped=flipped)
        super().__init__(2, self.inner.single_observation_space, self.inner.single_action_space)

    def reset(self):
        return self.inner.reset()[0]

    def step_async(self, actions):
        self.actions = actions

    def step_wait(self):
        seen, rewards, _, over, info = self.inner.step(self.actions)
        ended = {"terminal_observation": info["final_obs"][0], "TimeLimit.truncated": True} if over.any() else {}
        return seen, rewards, over, [dict(ended), dict(ended)]

    def close(self):
        pass

    def get_attr(self, attr_name, indices=None):
        raise AttributeError(attr_name)

    def set_attr(self, attr_name, value, indices=None):
        raise AttributeError(attr_name)

    def env_method(self, method_name, *args, indices=None, **kwargs):
        raise AttributeError(method_name)

    def env_is_wrapped(self, wrapper_class, indices=None):
        return [False, False]


@pytest.mark.filterwarnings("ignore:the `render_mode` attribute is not defined", "ignore:.*render_mode")
@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("make", [lambda flipped: Counting(flipped=flipped), OfSomebody])
def test_what_is_learned_from_is_what_was_seen_before_the_action(make, flipped):
    model = PPMO("MlpPolicy", make(flipped), n_steps=12, n_epochs=1, seed=0, normalize=False).learn(24)
    kept = model.rollout_buffer.observations[:, 0, 0]
    np.testing.assert_array_equal(kept, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1])
    np.testing.assert_array_equal(model.rollout_buffer.episode_starts[:, 0], [i % 5 == 0 for i in range(12)])


class KeepFinal(BaseCallback):
    """Keeps the last observations of episodes."""

    def _on_training_start(self):
        self.final = []

    def _on_step(self):
        self.final += [info["terminal_observation"] for info in self.locals["infos"] if "terminal_observation" in info]
        return True


def test_last_observations_are_kept():
    keep = KeepFinal()
    PPMO("MlpPolicy", Counting(), n_steps=7, n_epochs=1, seed=0).learn(14, keep)
    np.testing.assert_array_equal(keep.final, np.full((2, 3), 5))


@pytest.mark.filterwarnings("ignore:.*render_mode")
def test_a_random_rollout_and_an_evaluation_copy_too():
    visited = random_rollout(OfSomebody(), 3)
    assert [float(seen[0]) for seen in visited] == [1, 1, 2, 2, 3, 3]
    model = PPMO("MlpPolicy", OfSomebody(flipped=True), n_steps=8, n_epochs=1, seed=0)
    assert (evaluate_learners(model.dataset, 2, 2, env=OfSomebody(flipped=True)).returns == 5).all()


@pytest.mark.filterwarnings("ignore:.*render_mode")
def test_copies_are_made_only_where_they_are_needed():
    ours = make_vec_env("CartPole-v1", 2)
    assert not writes_again(ours)
    assert own_steps(ours, ours.reset())[1] == ours.step
    assert writes_again(OfSomebody())
    same = {"autoreset_mode": AutoresetMode.SAME_STEP}
    assert not vector_writes_again(gym.make_vec("CartPole-v1", **CARTPOLE, vector_kwargs=same))
    assert vector_writes_again(gym.make_vec("CartPole-v1", **CARTPOLE, vector_kwargs={**same, "copy": False}))


def test_a_copy_lies_in_the_usual_order():
    turned = {"a": np.arange(6).reshape(2, 3)[:, ::-1], "b": np.arange(6).reshape(2, 3).T}
    for key, value in copied(turned).items():
        assert value.flags.c_contiguous
        assert value.flags.owndata
        np.testing.assert_array_equal(value, turned[key])


def test_infos_of_any_shape_are_given_to_each():
    info = {
        "time": 3.5, "stage": "ab", "log": {"reward": 0.1, "each": np.arange(2)}, "each": ["x", "y"], "none": None,
        "some": np.array([7, 0]), "_some": np.array([True, False]), "three": np.arange(3), "final_info": {"end": np.arange(2)},
    }  # fmt: skip
    first, second = split_info(info, 2, ended=[0, 1])
    everywhere = {"time": 3.5, "stage": "ab", "none": None}
    assert {key: first[key] for key in everywhere} == {key: second[key] for key in everywhere} == everywhere
    assert (first["log"], second["log"]) == ({"reward": 0.1, "each": 0}, {"reward": 0.1, "each": 1})
    assert (first["each"], second["each"], first["some"], "some" in second) == ("x", "y", 7, False)
    assert (list(first["three"]), first["end"], second["end"]) == ([0, 1, 2], 0, 1)
    assert split_info([{"a": 1}, None], 2, ended=[]) == [{"a": 1}, {}]
    assert split_info({"final_info": [None, {"b": 2}]}, 2, ended=[1]) == [{}, {"b": 2}]
    assert split_info({"final_info": {"score": 5}}, 2, ended=[1]) == [{}, {"score": 5}]  # an end concerns whoever ended


@pytest.mark.parametrize(
    "info", [{}, {"final_obs": None}, {"final_obs": np.array([None, None])}, {"final_obs": [None, None]}, [{}, {}]], ids=str
)
def test_a_missing_last_observation_is_said(info):
    with pytest.raises(
        ValueError, match=r"environment 1 of my env has ended an episode, .* no `final_obs`.*info\['final_obs'\]"
    ):
        final_observation(info, 1, "my env")


def test_last_observations_in_old_forms():
    parts = np.empty(2, object)
    parts[1] = np.ones(3)
    for info in ({"final_observation": parts}, {"final_obs": np.ones((2, 3))}, [{}, {"final_obs": np.ones(3)}]):
        np.testing.assert_array_equal(final_observation(info, 1, "my env"), np.ones(3))


def test_advice_on_resets_fits_the_environment():
    with pytest.raises(ValueError, match=r'make_vec\(\.\.\., vectorization_mode="sync", vector_kwargs={"autoreset_mode'):
        GymnasiumVecEnv(gym.make_vec("CartPole-v1", num_envs=2))
    with pytest.raises(ValueError, match=r"make_vec\(\.\.\., autoreset_mode=AutoresetMode.SAME_STEP\)$"):
        GymnasiumVecEnv(gym.make_vec("NDCartPole1D-v0", num_envs=2))
    env = Counting()
    env.metadata = {}
    with pytest.raises(ValueError, match=r"autoreset mode None.*metadata\['autoreset_mode'\] = AutoresetMode.SAME_STEP"):
        GymnasiumVecEnv(env)
    env.metadata = {"autoreset_mode": "SameStep"}
    GymnasiumVecEnv(env)


def one():
    return gym.make("CartPole-v1")


def several(n):
    return make_vec_env("CartPole-v1", n)


class Pole(gym.Env):
    observation_space, action_space = spaces.Box(-1, 1, (4,)), spaces.Discrete(2)

    def __init__(self, length=3):
        self.length = length

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return np.zeros(4, np.float32), {}

    def step(self, action):
        self.t += 1
        return np.zeros(4, np.float32), 1.0, self.t == self.length, False, {}


class Needy(Pole):
    def __init__(self, length):
        super().__init__(length)


@pytest.mark.parametrize(
    "source",
    [
        "CartPole-v1", one, several, Pole, functools.partial(gym.make, "CartPole-v1"), lambda: Pole(2),
        gym.spec("CartPole-v1"), SyntheticDataset.load("CartPole-v1"),
    ],
)  # fmt: skip
def test_as_many_environments_as_are_asked_for(source):
    env, is_ours = environments_from(source, 3, seed=0)
    assert isinstance(env, VecEnv)
    assert (env.num_envs, is_ours) == (3, True)
    assert env.reset().shape == (3, 4)
    if isinstance(env.unwrapped, DummyVecEnv):
        assert len({id(single) for single in env.unwrapped.envs}) == 3
    env.close()


@pytest.mark.parametrize("make, n", [(one, 1), (lambda: several(2), 2), (lambda: Counting(4), 4)])
def test_environments_that_are_there_are_taken_as_they_are(make, n):
    env, is_ours = environments_from(make(), 3)
    assert (env.num_envs, is_ours) == (n, False)


def test_images_are_turned_for_every_source():
    class Picture(Pole):
        observation_space = spaces.Box(0, 255, (36, 40, 3), np.uint8)

    assert isinstance(environments_from(Picture, 2).env, VecTransposeImage)


@pytest.mark.parametrize(
    "source, message",
    [
        (3, "`env` must be an id, an environment, its class.*got 3"),
        (None, "must be an id"),
        (lambda *, n: None, "put it into a lambda"),
        (lambda a, b: None, "a function of 2 arguments, and must be one of a number"),
        (Needy, r"the class Needy, which needs 1 arguments: pass a function of nothing, lambda: Needy\(\.\.\.\)"),
        (dict, "the class dict, which is no gymnasium.Env"),
        (DummyVecEnv, "the class DummyVecEnv, which is no gymnasium.Env"),
        (lambda n: Pole(n), r"`env\(3\)` must make a VecEnv, it made .*: let it take no argument"),
        (lambda: 5, r"`env\(\)` must make an environment, it made 5"),
    ],
)
def test_other_things_are_refused_in_a_sentence(source, message):
    with pytest.raises(ValueError, match=message):
        environments_from(source, 3)


@pytest.mark.parametrize("env", [Pole, one, gym.spec("CartPole-v1")], ids=["class", "function", "spec"])
def test_an_algorithm_says_that_it_needs_an_environment(env):
    with pytest.raises(ValueError, match="`env` must be an id, an environment or vector environments, .*make_vec_env"):
        PPMO("MlpPolicy", env, n_steps=8)


class Odd(OfSomebody):
    """Hands out what ``change`` makes of a step."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def step_wait(self):
        return self.change(*super().step_wait())


@pytest.mark.filterwarnings("ignore:.*render_mode")
@pytest.mark.parametrize(
    "change",
    [
        lambda seen, rewards, over, infos: (seen.tolist(), rewards[:, None], over.astype(np.int8).tolist(), tuple(infos)),
        lambda seen, rewards, over, infos: (seen, rewards.astype(int), over, [info or None for info in infos]),
    ],
)
def test_steps_of_another_form_are_understood(change):
    model = PPMO("MlpPolicy", Odd(change), n_steps=8, n_epochs=1, seed=0).learn(16)
    np.testing.assert_array_equal(model.rollout_buffer.episode_starts[:, 0], [i % 5 == 0 for i in range(8)])


@pytest.mark.filterwarnings("ignore:.*render_mode")
@pytest.mark.parametrize(
    "change, message",
    [
        (lambda seen, *rest: (seen[:, None], *rest), r"observations of shape \(2, 3\), as its space says, got \(2, 1, 3\)"),
        (lambda seen, *rest: ({"a": seen}, *rest), "returns dict observations"),
        (lambda seen, rewards, *rest: (seen, rewards[:1], *rest), r"must return 2 rewards, .*got shape \(1,\)"),
        (lambda seen, rewards, over, infos: (seen, rewards, over, infos[:1]), "must return a list of 2 infos"),
        (lambda seen, rewards, over, infos: (seen, rewards, over, {}), "must return a list of 2 infos"),
    ],
)
def test_steps_that_cannot_be_understood_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        PPMO("MlpPolicy", Odd(change), n_steps=8, n_epochs=1, seed=0).learn(16)


def test_only_what_is_cheap_is_made_by_the_thousand():
    assert [may_be_many(source) for source in ("CartPole", several, one, Pole, one())] == [True, True, False, False, False]


@pytest.mark.parametrize("make", [one, lambda: several(3), lambda: several(4)])
def test_learners_play_in_turn_where_environments_cannot_be_shared_out(make):
    env = make()
    dataset = PPMO("MlpPolicy", "CartPole-v1", n_steps=8, n_epochs=1, seed=0).dataset
    mixture = [{"width": [4, 8]}, {"depth": 1}]
    returns = evaluate_learners(dataset, 2, 3, env=env, learner_distribution=mixture).returns
    assert returns.shape == (2, 3)
    assert (returns >= 8).all()
    env.reset()  # not closed, since it is the caller's


@pytest.mark.parametrize(
    "space, allowed",
    [
        (spaces.Discrete(3), [1, 0, 1]),
        (spaces.MultiDiscrete([2, 3]), [0, 1, 1, 0, 1]),
        (spaces.MultiBinary(2), [0, 1, 1, 1]),
    ],
)
def test_random_actions_are_among_those_that_are_allowed(space, allowed):
    class Strict(gym.Env):
        observation_space, action_space = spaces.Box(-1, 1, (2,)), space

        def action_masks(self):
            return np.array(allowed)

        def reset(self, *, seed=None, options=None):
            return np.zeros(2, np.float32), {}

        def step(self, action):
            n_choices = np.ravel(space.nvec if isinstance(space, spaces.MultiDiscrete) else getattr(space, "n", 2))
            n_choices = [2, 2] if isinstance(space, spaces.MultiBinary) else n_choices
            firsts = np.cumsum([0, *n_choices[:-1]])
            assert all(np.array(allowed)[firsts + np.ravel(action).astype(int)]), "an illegal move"
            return np.zeros(2, np.float32), 0.0, False, False, {}

    env = DummyVecEnv([Strict] * 3)
    env.action_space.seed(0)
    assert len(random_rollout(env, 20)) == 60
