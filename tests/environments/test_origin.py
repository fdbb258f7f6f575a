"""A file says of its environment what there is: what cannot be said is named."""

from typing import ClassVar

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.registration import WrapperSpec
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import ClipReward, MaxAndSkipObservation, RescaleAction, TimeLimit
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnvWrapper, VecFrameStack, VecNormalize

from sb3_distill import PPMO, SyntheticDataset, make_vec_env
from sb3_distill.environments.gymnasium_vec_env import GymnasiumVecEnv
from sb3_distill.environments.origin import env_origin, recorded, recorded_wrappers
from sb3_distill.environments.vec_normalize import normalization_of
from sb3_distill.environments.worker_vec_env import WorkerVecEnv

SAME = {"autoreset_mode": AutoresetMode.SAME_STEP}


class Scale(gym.RewardWrapper):
    """A wrapper that needs an argument and does not record it."""

    def __init__(self, env, factor):
        super().__init__(env)
        self.factor = factor

    def reward(self, reward):
        return self.factor * reward


class Plot(gym.Env):
    """Shows what it was made with."""

    metadata: ClassVar = {"render_modes": ["rgb_array"]}

    observation_space, action_space = spaces.Box(-1, 1, (2,)), spaces.Discrete(2)

    def __init__(self, prices=None, goal=None, render_mode=None):
        self.prices, self.goal = prices, goal

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), 0.0, False, False, {}


@pytest.fixture(autouse=True)
def registered():
    gym.register("Plot-v0", Plot, max_episode_steps=9)
    gym.register("Unlimited-v0", Plot)
    skipping = WrapperSpec(
        "ClipReward", "gymnasium.wrappers.transform_reward:ClipReward", {"min_reward": 0.0, "max_reward": 1.0}
    )
    gym.register("Clipped-v0", Plot, max_episode_steps=9, additional_wrappers=(skipping,))
    gym.register("Prewrapped-v0", lambda **kwargs: ClipReward(Plot(**kwargs), 0.0, 2.0), max_episode_steps=9)
    yield
    for env_id in ("Plot-v0", "Unlimited-v0", "Clipped-v0", "Prewrapped-v0"):
        gym.registry.pop(env_id)


def through_file(env, tmp_path):
    model = PPMO("MlpPolicy", env, n_steps=8, n_epochs=1, seed=0)
    model.dataset.save(tmp_path / "set.safetensors")
    return SyntheticDataset.load(tmp_path / "set.safetensors")


def dummy(*makers):
    return DummyVecEnv(list(makers))


@pytest.mark.parametrize(
    "value", [(0, 5), [(1, 2), 3], np.arange(6.0).reshape(2, 3), {3: "a", 1: (2,)}, {"b": 1, "a": 2}, "x"]
)
def test_arguments_come_back_as_what_they_were(tmp_path, value):
    dataset = through_file(make_vec_env("Plot-v0", 2, env_kwargs={"goal": value}), tmp_path)
    (again,) = make_vec_env(dataset, 1).get_attr("goal")
    assert type(again) is type(value)
    if isinstance(value, np.ndarray):
        assert again.dtype == value.dtype
        np.testing.assert_array_equal(again, value)
    else:
        assert again == value
        assert not isinstance(value, dict) or list(again) == list(value)


def test_numbers_of_numpy_are_numbers(tmp_path):
    dataset = through_file(make_vec_env("Plot-v0", 2, env_kwargs={"goal": np.float32(2.5)}), tmp_path)
    assert dataset.info.env_kwargs == {"goal": 2.5}


def test_an_argument_that_a_file_cannot_hold_is_named_and_may_be_passed(tmp_path):
    dataset = through_file(make_vec_env("Plot-v0", 2, env_kwargs={"prices": {1, 2}, "goal": 3}), tmp_path)
    with pytest.raises(ValueError, match=r"the argument prices=set of the environment.*env_kwargs=\{'prices': \.\.\.\}"):
        make_vec_env(dataset, 1)
    env = make_vec_env(dataset, 1, env_kwargs={"prices": {4}})
    assert env.get_attr("prices") == [{4}]
    assert env.get_attr("goal") == [3]


@pytest.mark.parametrize("value", [10**30, -(2**63) - 1, [2**64]])
def test_a_number_beyond_64_bits_is_named(tmp_path, value):
    dataset = through_file(make_vec_env("Plot-v0", 2, env_kwargs={"goal": value}), tmp_path)
    with pytest.raises(ValueError, match="the argument goal="):
        make_vec_env(dataset, 1)


def test_a_default_that_a_file_cannot_hold_need_not_be_said():
    gym.register("Priced-v0", Plot, kwargs={"prices": {1, 2}})
    assert env_origin(make_vec_env("Priced-v0", 1)) == ("Priced-v0", {})
    assert recorded_wrappers(make_vec_env("Priced-v0", 1)) == []
    gym.registry.pop("Priced-v0")


@pytest.mark.parametrize(
    "make, kwargs",
    [
        (lambda: gym.make("Plot-v0"), {}),
        (lambda: gym.make("Plot-v0", max_episode_steps=-1), {"max_episode_steps": -1}),
        (lambda: gym.make("Plot-v0").unwrapped, {"max_episode_steps": -1}),
        (lambda: gym.make("Plot-v0", max_episode_steps=4), {"max_episode_steps": 4}),
        (lambda: TimeLimit(gym.make("Plot-v0"), 5), {"max_episode_steps": 5}),
        (lambda: TimeLimit(gym.make("Plot-v0"), 50), {}),
        (lambda: TimeLimit(gym.make("Unlimited-v0"), 50), {"max_episode_steps": 50}),
        (lambda: gym.make("Clipped-v0", max_episode_steps=4), {"max_episode_steps": 4}),
    ],
)
def test_time_limits_are_those_that_hold(make, kwargs):
    origin = recorded(dummy(make))
    assert (origin.env_kwargs, origin.wrappers) == (kwargs, [])


def test_a_limit_that_was_changed_afterwards():
    env = gym.make("Plot-v0")
    env._max_episode_steps = 3
    assert env_origin(dummy(lambda: env)) == ("Plot-v0", {"max_episode_steps": 3})


def test_a_limit_outside_of_a_wrapper_keeps_its_place():
    env = dummy(lambda: TimeLimit(MaxAndSkipObservation(gym.make("Plot-v0"), 3), 2))
    origin = recorded(env)
    assert origin.env_kwargs == {}
    assert [record["name"] for record in origin.wrappers] == ["MaxAndSkipObservation", "TimeLimit"]
    assert origin.wrappers[1]["kwargs"] == {"max_episode_steps": 2}


@pytest.mark.parametrize("env_id", ["Clipped-v0", "Prewrapped-v0"])
def test_wrappers_of_a_registration_are_made_once(tmp_path, env_id):
    env = make_vec_env(env_id, 2)
    assert recorded_wrappers(env) == []
    outer = dummy(lambda: ClipReward(gym.make(env_id), 0.0, 0.5))
    assert [record["kwargs"]["max_reward"] for record in recorded_wrappers(outer)] == [0.5]
    again = make_vec_env(through_file(env, tmp_path), 1)
    assert str(again.unwrapped.envs[0]).count("ClipReward") == 1


def test_a_wrapper_of_a_registration_that_was_taken_off_is_named(tmp_path):
    dataset = through_file(dummy(lambda: gym.make("Clipped-v0").unwrapped), tmp_path)
    with pytest.raises(ValueError, match="made in Clipped-v0 without its ClipReward, which a file cannot say"):
        make_vec_env(dataset, 1)


def test_environments_that_differ_are_named(tmp_path):
    env = dummy(lambda: gym.make("Plot-v0", goal=1), lambda: gym.make("Plot-v0", goal=2))
    with pytest.raises(ValueError, match="made in environments that differ from each other"):
        make_vec_env(through_file(env, tmp_path), 1)


def test_spaces_that_were_changed_are_named(tmp_path):
    def make():
        env = gym.make("Plot-v0")
        env.unwrapped.observation_space = spaces.Box(-2, 2, (2,))
        return env

    with pytest.raises(ValueError, match=r"made in another observation space than Plot-v0 has, Box\(-2.0, 2.0"):
        make_vec_env(through_file(dummy(make), tmp_path), 1)


def test_another_environment_that_bears_the_id_is_named(tmp_path):
    class Mine(Plot):
        pass

    def make():
        env = Mine()
        env.spec = gym.spec("Plot-v0")
        return env

    with pytest.raises(ValueError, match="Mine instead of Plot-v0"):
        make_vec_env(through_file(dummy(make), tmp_path), 1)


@pytest.mark.filterwarnings("ignore:.*precision lowered by casting")
@pytest.mark.parametrize("cls", [DummyVecEnv, SubprocVecEnv, WorkerVecEnv])
def test_environments_in_other_processes_are_seen_as_they_are(cls):
    def wear(env):
        return RescaleAction(Scale(env, 2.0), -0.5, np.float32(0.5))

    kwargs = {"start_method": "fork"} if cls is SubprocVecEnv else {}
    env = make_vec_env("Pendulum-v1", 2, env_kwargs={"g": 3.0}, wrapper_class=wear, vec_env_cls=cls, vec_env_kwargs=kwargs)
    origin = recorded(env)
    env.close()
    assert (origin.env_id, origin.env_kwargs) == ("Pendulum-v1", {"g": 3.0})
    assert [(record["name"], record["kwargs"]) for record in origin.wrappers] == [
        ("Scale", None), ("RescaleAction", {"min_action": -0.5, "max_action": 0.5}),
    ]  # fmt: skip


def vectors(mode="sync", **kwargs):
    return gym.make_vec("Pendulum-v1", num_envs=2, vectorization_mode=mode, vector_kwargs=SAME, **kwargs)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_wrappers_of_gymnasiums_vector_environments_are_named(tmp_path, mode):
    def wear(env):
        return Scale(env, 2.0)

    inside = GymnasiumVecEnv(vectors(mode, wrappers=[wear]))
    assert recorded_wrappers(inside)[0]["kwargs"] is None
    inside.close()
    around = gym.wrappers.vector.ClipReward(vectors(mode), -0.1, 0.0)
    dataset = through_file(around, tmp_path)
    around.close()
    with pytest.raises(ValueError, match="wrapper ClipReward, which does not record its arguments"):
        make_vec_env(dataset, 1)


def test_arguments_of_gymnasiums_vector_environments():
    env = GymnasiumVecEnv(vectors(g=3.0, max_episode_steps=7))
    assert env_origin(env) == ("Pendulum-v1", {"g": 3.0, "max_episode_steps": 7})


def test_a_wrapper_that_is_only_called_like_gymnasiums(tmp_path):
    kind = type("PassiveEnvChecker", (gym.Wrapper,), {"__module__": __name__})
    with pytest.raises(ValueError, match=f"wrapper PassiveEnvChecker of {__name__}, which is not made from a file"):
        make_vec_env(through_file(dummy(lambda: kind(gym.make("Plot-v0"))), tmp_path), 1)


@pytest.mark.parametrize("name", ["VecMonitor", "VecFrameStack", "VecCheckNan"])
def test_a_vector_wrapper_that_is_only_called_like_sb3s(tmp_path, name):
    methods = {"reset": lambda self: self.venv.reset(), "step_wait": lambda self: self.venv.step_wait()}
    kind = type(name, (VecEnvWrapper,), methods)
    with pytest.raises(ValueError, match=f"wrapper {name}, which does not record its arguments"):
        make_vec_env(through_file(kind(make_vec_env("Plot-v0", 2)), tmp_path), 1)


def test_the_same_wrapper_twice_with_other_arguments(tmp_path):
    from stable_baselines3.common.atari_wrappers import MaxAndSkipEnv

    env = make_vec_env("Plot-v0", 1, wrapper_class=lambda env: MaxAndSkipEnv(MaxAndSkipEnv(env, skip=2), skip=3))
    assert [record["kwargs"] for record in recorded_wrappers(env)] == [{"skip": 2}, {"skip": 3}]


def test_numpy_numbers_of_wrappers_around_vector_environments(tmp_path):
    env = VecNormalize(VecFrameStack(make_vec_env("Plot-v0", np.int64(2)), np.int64(2)), clip_obs=np.float32(5))
    dataset = through_file(env, tmp_path)
    assert dataset.info.wrappers[0]["kwargs"]["n_stack"] == 2
    assert type(normalization_of(env).clip) is float
    dataset.set_normalization(normalization_of(env))
    dataset.info.scores = {"mean": np.float32(1.5), "of": np.arange(2)}
    dataset.save(tmp_path / "again.safetensors")
    assert SyntheticDataset.load(tmp_path / "again.safetensors").info.scores == {"mean": 1.5, "of": [0, 1]}


def test_keys_keep_their_order_and_another_order_is_refused_where_it_counts(tmp_path):
    class Two(Plot):
        observation_space = spaces.Dict(vel=spaces.Box(-1, 1, (2,)), pos=spaces.Box(-1, 1, (2,)))

        def reset(self, *, seed=None, options=None):
            return self.observation_space.sample(), {}

    model = PPMO("MultiInputPolicy", make_vec_env(Two, 2), n_steps=8, n_epochs=1, seed=0)
    model.dataset.save(tmp_path / "set.safetensors")
    space = SyntheticDataset.load(tmp_path / "set.safetensors").info.observation_space
    assert list(space) == ["vel", "pos"]
    turned = spaces.Dict(pos=space["pos"], vel=space["vel"])
    model.dataset.check_spaces(turned, model.action_space)
    with pytest.raises(ValueError, match="these keys in another order"):
        model.dataset.check_spaces(turned, model.action_space, in_order=True)


def test_bounds_of_actions_count():
    env = make_vec_env("Pendulum-v1", 2, wrapper_class=lambda env: RescaleAction(env, np.float32(-1), np.float32(1)))
    dataset = PPMO("MlpPolicy", env, n_steps=8, n_epochs=1, seed=0).dataset
    wide = make_vec_env("Pendulum-v1", 2)
    with pytest.raises(ValueError, match=r"action space Box\(1,\) in \[-1, 1\], the environment has Box\(1,\) in \[-2, 2\]"):
        dataset.check_spaces(wide.observation_space, wide.action_space)
