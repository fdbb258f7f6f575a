"""Records of wrappers: made from an environment, put into words, made into wrappers again."""

import gymnasium as gym
import pytest
from gymnasium.wrappers import FrameStackObservation, NormalizeObservation, RescaleAction
from stable_baselines3.common.envs import SimpleMultiObsEnv
from stable_baselines3.common.vec_env import DummyVecEnv, VecExtractDictObs, VecFrameStack, VecMonitor

from sb3_distill.dataset.wrapper_records import atari_options, described, hint
from sb3_distill.environments.origin import recorded_wrappers
from sb3_distill.environments.wrappers import check_known, wrap_vec_env, wrapper_class

WARP = {"name": "WarpFrame", "entry_point": "stable_baselines3.common.atari_wrappers:WarpFrame", "kwargs": {"width": 84}}
STACK = {"name": "VecFrameStack", "entry_point": "vec_env", "kwargs": {"n_stack": 4}}
UNKNOWN = {"name": "Mirror", "entry_point": "me:Mirror", "kwargs": None}
ATARI = {"name": "AtariVecEnv", "entry_point": "atari", "kwargs": {"n_stack": 4}}


def pendulum():
    return gym.make("Pendulum-v1")


def test_records_in_words():
    assert described([WARP, STACK, UNKNOWN]) == "WarpFrame(width=84), VecFrameStack(n_stack=4), Mirror()"


def test_a_hint_says_what_is_missing_and_who_can_build_it():
    assert hint([]) == "is a wrapper of the environment missing?"
    assert hint([STACK]) == "the environment must wear VecFrameStack(n_stack=4): make_vec_env(dataset, n_envs) builds it"
    assert hint([UNKNOWN, STACK]) == "the environment must wear Mirror(), VecFrameStack(n_stack=4)"


def test_options_of_ales_vector_environment_are_found_among_records():
    assert atari_options([ATARI, STACK]) == {"n_stack": 4}
    assert atari_options([WARP, STACK]) is None


@pytest.mark.filterwarnings("ignore:.*precision lowered by casting")
def test_wrappers_are_recorded_from_the_inside_out_and_made_again():
    def wear(env):
        return FrameStackObservation(RescaleAction(env, -0.5, 0.5), 2)

    env = VecFrameStack(VecMonitor(DummyVecEnv([lambda: wear(pendulum())])), 3)
    records = recorded_wrappers(env)
    assert [record["name"] for record in records] == ["RescaleAction", "FrameStackObservation", "VecFrameStack"]
    check_known(records)
    wrap = wrapper_class(records)
    again = wrap_vec_env(DummyVecEnv([lambda: wrap(pendulum())]), records)
    assert again.observation_space == env.observation_space
    assert recorded_wrappers(again) == records


def test_wrappers_of_dict_observations():
    stacked = VecFrameStack(DummyVecEnv([SimpleMultiObsEnv]), 2, {"img": "first", "vec": "last"})
    env = VecExtractDictObs(stacked, "vec")
    stack, extract = recorded_wrappers(env)
    assert stack["kwargs"] == {"n_stack": 2, "channels_order": {"img": "first", "vec": "last"}}
    assert extract["kwargs"] == {"key": "vec"}
    assert wrap_vec_env(DummyVecEnv([SimpleMultiObsEnv]), [stack, extract]).observation_space == env.observation_space


def test_no_records_no_wrappers():
    assert recorded_wrappers(VecMonitor(DummyVecEnv([pendulum]))) == []
    assert wrapper_class([STACK, ATARI]) is None


def test_statistics_of_gymnasiums_wrappers_do_not_travel():
    env = DummyVecEnv([lambda: NormalizeObservation(pendulum())])
    with pytest.warns(UserWarning, match="statistics of NormalizeObservation do not travel"):
        (record,) = recorded_wrappers(env)
    assert record["kwargs"] is None


@pytest.mark.parametrize("name", ["VecStackOfMyOwn", "unwrap_vec_normalize", "DummyVecEnv"])
def test_wrappers_of_vector_environments_are_sb3s(name):
    record = {"name": name, "entry_point": "vec_env", "kwargs": {}}
    with pytest.raises(ValueError, match=f"wrapper {name} of the vector environment, which is not made from a file"):
        check_known([record])
    with pytest.raises(ValueError, match="is not made from a file"):
        wrap_vec_env(DummyVecEnv([pendulum]), [record])


def test_a_subclass_of_sb3s_wrapper_is_not_taken_for_it():
    class MyStack(VecFrameStack):
        pass

    with pytest.raises(ValueError, match="wrapper MyStack of the vector environment, which is not made from a file"):
        check_known(recorded_wrappers(MyStack(DummyVecEnv([pendulum]), 2)))
