"""Agents, learners and chance play for a recording."""

import json

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers import FaultyEnv, simplex_dataset
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_distill import Recording, SyntheticDataset, make_vec_env, record
from sb3_distill.cli import program as cli
from sb3_distill.dagger import Expert
from sb3_distill.errors import ArgumentError, MisfitError, NotFiniteError
from sb3_distill.offline.source import Source


def replayed(recording, env_id, seed):
    """Whether the first episode of a recording is what the environment does with its actions."""
    env = make_vec_env(env_id, 1, seed)
    shown = [env.reset()[0]]
    first = next(recording.episodes())
    for action, reward in zip(first.actions, first.rewards, strict=True):
        observation, rewards, dones, infos = env.step(action[None])
        shown.append(infos[0]["terminal_observation"] if dones[0] else observation[0])
        assert rewards[0] == reward
    np.testing.assert_array_equal(shown, [*first.observations, first.last_observation])
    return bool(dones[0])


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_what_is_recorded_is_what_happened(env_id):
    recording = record("random", env_id, n_episodes=3, n_envs=1, seed=5)
    assert recording.n_episodes == 3 and replayed(recording, env_id, 5)
    ends = recording.columns.ends - 1
    assert (recording.columns.truncated[ends] == (env_id == "Pendulum-v1")).all()
    assert (recording.columns.terminated[ends] == (env_id == "CartPole-v1")).all()
    assert recording.origin.env_id == env_id and recording.sources == [Source("random", 5, False, 0.0)]


def test_steps_are_counted_and_the_last_episode_is_cut():
    recording = record("random", "CartPole-v1", n_steps=101, n_envs=4)
    c = recording.columns
    assert len(recording) == 101
    unfinished = ~(c.terminated | c.truncated)[c.ends - 1]
    assert 1 <= unfinished.sum() <= 4
    assert len(record("random", "CartPole-v1", n_steps=2, n_envs=4)) == 2


def test_episodes_are_shared_evenly():
    recording = record("NDCartPole1D-v0", n_episodes=5, n_envs=2)  # perfect: 500 steps each
    assert recording.n_episodes == 5 and recording.behaviour_mean == 500 and len(recording) == 2500
    assert recording.origin.env_id == "NDCartPole1D-v0"


def test_the_same_seed_plays_the_same():
    def play(source, **kwargs):
        return record(source, "CartPole-v1", n_steps=200, n_envs=2, **kwargs).columns

    model = PPO("MlpPolicy", "CartPole-v1", seed=0)
    for source in ("random", model, "CartPole-v1"):
        for noise in (0.0, 0.3):
            one, same, other = (play(source, seed=seed, noise=noise) for seed in (1, 1, 2))
            np.testing.assert_array_equal(one.observations, same.observations)
            assert not np.array_equal(one.observations, other.observations)


def test_global_generators_stay_as_they_are():
    model = PPO("MlpPolicy", "CartPole-v1", seed=0)
    before, numbers = th.get_rng_state(), np.random.get_state()[1].copy()
    record(model, "CartPole-v1", n_steps=50)
    assert th.equal(before, th.get_rng_state()) and (numbers == np.random.get_state()[1]).all()


def test_agents(tmp_path):
    venv = VecNormalize(make_vec_env("Pendulum-v1", 2))
    model = PPO("MlpPolicy", venv, n_steps=32, seed=0).learn(64)
    model.save(tmp_path / "agent.zip")
    venv.save(str(tmp_path / "statistics.pkl"))
    kwargs = dict(n_steps=60, n_envs=2, deterministic=True)
    of_model = record(model, "Pendulum-v1", **kwargs)
    of_zip = record(tmp_path / "agent.zip", "Pendulum-v1", normalization=tmp_path / "statistics.pkl", **kwargs)
    without = record(tmp_path / "agent.zip", "Pendulum-v1", normalization="none", **kwargs)
    np.testing.assert_array_equal(of_model.actions, of_zip.actions)
    assert not np.array_equal(of_model.actions, without.actions)
    assert of_zip.sources == [Source("agent.zip", 0, True, 0.0)] and of_model.sources[0].name == "PPO"
    through = record(model, venv, **kwargs)  # observations and rewards are those of the environments
    assert through.observations.min() < -1 and through.rewards.min() < -2
    assert through.observation_space == gym.make("Pendulum-v1").observation_space


def test_actions_are_sampled_unless_deterministic():
    model = PPO("MlpPolicy", "Pendulum-v1", seed=0)
    greedy, sampled = (record(model, "Pendulum-v1", n_steps=300, deterministic=d) for d in (True, False))
    assert np.abs(greedy.actions).max() < 0.5 < sampled.actions.std()


@pytest.mark.parametrize("algorithm", [PPO, SAC])
def test_noise_on_numbers(algorithm):
    model = algorithm("MlpPolicy", "Pendulum-v1", seed=0)
    noisy = record(model, "Pendulum-v1", n_steps=400, deterministic=True, noise=0.25)
    errors = noisy.actions - Expert(model.policy)(noisy.observations)
    assert 0.4 < errors.std() < 0.6 and np.abs(noisy.actions).max() <= 2 and noisy.actions.dtype == np.float32


def test_noise_on_choices():
    noisy = record("CartPole-v1", n_steps=2000, deterministic=True, noise=0.5, n_envs=4)
    assert 0.3 < record("CartPole-v1", n_steps=2000, deterministic=True, noise=1.0).actions.mean() < 0.7
    assert noisy.actions.dtype == np.int64 and set(noisy.actions) == {0, 1}


def test_learners_share_the_environments():
    dataset = simplex_dataset(2, 10.0)
    recording = record(dataset, n_episodes=4, n_envs=4, n_learners=2)
    assert recording.behaviour_mean == 500 and recording.sources[0].name == "learner of NDCartPole2D-v0"
    with pytest.raises(ArgumentError, match="`n_learners` must divide the 4 environments, got 3"):
        record(dataset, n_steps=10, n_envs=4, n_learners=3)


class Gate(gym.Env):
    """Only one action is allowed, the other one is an error."""

    observation_space, action_space = spaces.Box(0, 1, (1,)), spaces.Discrete(2)

    def action_masks(self):
        return np.array([False, True])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        if action != 1:
            raise RuntimeError("closed")
        return np.zeros(1, np.float32), 1.0, self.np_random.random() < 0.2, False, {}


def test_actions_that_are_not_allowed_are_not_taken():
    agent = MaskablePPO("MlpPolicy", Gate(), n_steps=8, batch_size=8, seed=0)
    for source in ("random", agent):
        assert (record(source, Gate, n_steps=50, noise=0.5).actions == 1).all()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(n_steps=0), "`n_steps` must be at least 1 and whole, got 0"),
        (dict(n_episodes=0), "`n_episodes` must be at least 1 and whole, got 0"),
        (dict(n_steps=1.5), "`n_steps` must be at least 1 and whole, got 1.5"),
        (dict(n_steps=5, n_episodes=5), "leave out one of them"),
        (dict(noise=-0.1), r"`noise` must be in \[0, 1\], got -0.1"),
        (dict(noise=2), r"`noise` must be in \[0, 1\], got 2"),
        (dict(noise=float("nan")), r"`noise` must be in \[0, 1\], got nan"),
        (dict(env=None), "random actions belong to no environment"),
        (dict(normalization="none"), "`normalization` belongs to the zip of an agent"),
    ],
)
def test_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        record("random", **{"env": "CartPole-v1", **arguments})


def test_noise_on_numbers_may_be_large_but_not_negative():
    assert len(record("random", "Pendulum-v1", n_steps=8, noise=2.0)) == 8
    with pytest.raises(ArgumentError, match="`noise` must be at least 0, got -1"):
        record("random", "Pendulum-v1", n_steps=8, noise=-1)


def test_sources_that_do_not_fit():
    model = PPO("MlpPolicy", "CartPole-v1")
    with pytest.raises(ArgumentError, match="`env` is needed: an agent does not say"):
        record(model)
    with pytest.raises(
        ArgumentError, match=r"the agent was trained for observation space Box\(4,\), the environment has Box\(3,\)"
    ):
        record(model, "Pendulum-v1")
    with pytest.raises(MisfitError, match=r"the dataset was made for observation space Box\(4,\)"):
        record("CartPole-v1", "Pendulum-v1")
    with pytest.raises(ArgumentError, match="`source` must be an agent, a dataset or 'random', got 3"):
        record(3, "Pendulum-v1")
    with pytest.raises(FileNotFoundError, match="no shipped dataset is called 'chance'"):
        record("chance", "Pendulum-v1")


@pytest.mark.parametrize("what", ["reward", "observation"])
def test_numbers_that_are_not_finite(what):
    with pytest.raises(NotFiniteError, match=f"{what} is NaN or infinite at step 3 of environment 0"):
        record("random", lambda: FaultyEnv(3, what), n_steps=20, n_envs=1)


def test_environments_that_say_no_last_observation():
    class Silent(DummyVecEnv):
        def step_wait(self):
            observations, rewards, dones, infos = super().step_wait()
            return observations, rewards, dones, [{} for _ in infos]

    with pytest.raises(ArgumentError, match="does not say `terminal_observation`"):
        record("random", Silent([lambda: gym.make("CartPole-v1")]), n_steps=200)


def test_dict_observations():
    space = spaces.Dict({"a": spaces.Box(-1, 1, (2,)), "b": spaces.Discrete(3)})

    class Keys(gym.Env):
        observation_space, action_space = space, spaces.MultiDiscrete([2, 3])

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return space.sample(), {}

        def step(self, action):
            return space.sample(), 1.0, False, bool(self.np_random.random() < 0.1), {}

    recording = record("random", Keys, n_steps=64)
    assert recording.observations["a"].shape == (64, 2) and recording.observations["b"].shape == (64,)
    assert recording.columns.truncated.any()


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["record", "CartPole-v1", "-o", "play.safetensors", "--episodes", "4", "--n-envs", "2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (
        said["episodes"] == said["finished"] == 4 and said["mean_return"] == Recording.load("play.safetensors").behaviour_mean
    )
    PPO("MlpPolicy", "CartPole-v1", seed=0).save("agent.zip")
    arguments = ["--env", "CartPole-v1", "--steps", "100", "--deterministic", "--noise", "0.1", "--seed", "3"]
    assert cli.main(["record", "agent.zip", "-o", "agent.safetensors", *arguments]) == 0
    assert "agent.safetensors" in capsys.readouterr().out
    recording = Recording.load("agent.safetensors")
    assert len(recording) == 100 and recording.sources == [Source("agent.zip", 3, True, 0.1)]
    assert cli.main(["record", "random", "--env", "CartPole-v1", "-o", "random.safetensors", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 10_000


def test_the_command_takes_statistics_that_lie_with_an_agent(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    venv = VecNormalize(make_vec_env("Pendulum-v1", 2))
    PPO("MlpPolicy", venv, n_steps=32, seed=0).learn(64).save("agent.zip")
    venv.save("vecnormalize.pkl")
    command = ["record", "agent.zip", "--env", "Pendulum-v1", "--steps", "50", "--deterministic", "--json"]
    actions = []
    for i, extra in enumerate(([], ["--vecnormalize", "vecnormalize.pkl"], ["--vecnormalize", "none"])):
        assert cli.main([*command, "-o", f"{i}.safetensors", *extra]) == 0
        actions.append(Recording.load(f"{i}.safetensors").actions)
    assert np.array_equal(actions[0], actions[1]) and not np.array_equal(actions[0], actions[2])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["random", "-o", "play.safetensors"], "random actions belong to no environment"),
        (["random", "--env", "CartPole-v1", "-o", "play.npz"], "a recording file must be called *.safetensors"),
        (["random", "--env", "CartPole-v1", "-o", "p.safetensors", "--vecnormalize", "x"], "belong to the zip of an agent"),
        (["minari:x/y-v0", "-o", "play.safetensors", "--steps", "3"], "a Minari dataset is read by episodes"),
        (["none.zip", "--env", "CartPole-v1", "-o", "play.safetensors"], "there is no agent none.zip"),
    ],
)
def test_mistakes_are_told_in_a_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["record", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and "\n" not in error.strip()


def test_public_names():
    import sb3_distill

    assert sb3_distill.record is record and sb3_distill.Recording is Recording and isinstance(SyntheticDataset, type)
