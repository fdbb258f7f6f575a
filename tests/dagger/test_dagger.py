"""Distilling agents that exist: from a zip to a dataset whose learners act alike."""

import json
import zipfile

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers import FaultyEnv
from sb3_contrib import TQC, RecurrentPPO
from stable_baselines3 import DQN, PPO, SAC, TD3
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env as sb3_make_vec_env
from stable_baselines3.common.envs import FakeImageEnv, SimpleMultiObsEnv
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize

from sb3_distill import PPMO, DistilledPolicy, SyntheticDataset, evaluate_learners, make_vec_env
from sb3_distill.cli import program as cli
from sb3_distill.dagger.algorithm import DAgger
from sb3_distill.dagger.cloning import clone
from sb3_distill.dagger.expert import Expert


class SpacesEnv(gym.Env):
    """Random observations of any space."""

    def __init__(self, space):
        self.observation_space, self.action_space = space, spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, False, False, {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Agents, taught rather than trained."""
    folder = tmp_path_factory.mktemp("agents")
    for name, dataset, algo in (
        ("cartpole", "CartPole-v1", "ppo"),
        ("pendulum", "Pendulum-v1/off-policy", "sac"),
        ("td3", "Pendulum-v1/off-policy", "td3"),
    ):
        assert cli.main(["teach", dataset, "--algo", algo, "-o", str(folder / f"{name}.zip"), "--seed", "0", "--json"]) == 0
    return folder


def test_learners_act_as_the_agent(folder):
    model = clone(Expert.load(folder / "cartpole.zip"), "CartPole-v1", 20_000, 32, n_instances=4, n_updates=40, batch_size=256)
    assert evaluate_learners(model.dataset, 20, 2, deterministic=True).mean > 450
    assert model.num_timesteps >= 20_000
    assert model.dataset.info.normalization is not None


def test_states_of_the_learners_are_what_is_fitted(folder):
    """With the ridge head the mean action of fresh learners comes close to that of the agent."""
    expert = Expert.load(folder / "pendulum.zip")
    env = VecNormalize(make_vec_env("Pendulum-v1", 16, seed=0), norm_reward=False)
    arguments = dict(
        inner_loop="ridge", n_steps=100, n_updates=60, batch_size=512, policy_kwargs=dict(activation_fn=th.nn.ReLU)
    )
    model = DAgger("MlpPolicy", env, expert, seed=0, **arguments)
    before = _distance(model, expert)
    model.learn(10_000)
    assert _distance(model, expert) < 0.3 < before
    assert model.dataset.log_std.exp().item() < 0.7


def _distance(model, expert):
    """Root mean square difference of greedy actions in states that the agent visits."""
    env = make_vec_env("Pendulum-v1", 16, seed=5)
    observations, visited = env.reset(), []
    for _ in range(100):
        visited.append(observations)
        observations = env.step(expert(observations))[0]
    states = np.concatenate(visited)
    policy = DistilledPolicy.from_dataset(model.dataset, seed=3)
    return np.sqrt(np.square(policy.predict(states, deterministic=True)[0] - expert(states)).mean())


def test_the_agent_drives_in_its_share_of_steps(folder):
    expert = Expert.load(folder / "cartpole.zip")

    class Collector(BaseCallback):
        shares: list[float] = []  # noqa: RUF012

        def _on_step(self) -> bool:
            wanted = expert(self.model._vec_normalize_env.unnormalize_obs(self.model._last_obs))
            self.shares.append(float((wanted == self.locals["actions"]).mean()))
            return True

    for share in (1.0, 0.0):
        env = VecNormalize(make_vec_env("CartPole-v1", 64, seed=0), norm_reward=False)
        model = DAgger("MlpPolicy", env, expert, expert_share=share, n_steps=1, n_updates=1, batch_size=64, seed=0)
        model.learn(64, Collector())
    assert Collector.shares[0] == 1.0
    assert Collector.shares[1] < 0.9


def test_statistics_of_the_agent_are_taken_over(folder, tmp_path):
    env = VecNormalize(sb3_make_vec_env("CartPole-v1", 4), norm_reward=False)
    agent = PPO("MlpPolicy", env, n_steps=64, seed=0, device="cpu").learn(256)
    agent.save(tmp_path / "agent.zip")
    env.save(tmp_path / "vecnormalize.pkl")
    arguments = ["clone", str(tmp_path / "agent.zip"), "--env", "CartPole-v1", "-o", str(tmp_path / "set.safetensors")]
    assert cli.main([*arguments, "--timesteps", "2000", "--n-envs", "8"]) == 0
    stored = SyntheticDataset.load(tmp_path / "set.safetensors").info.normalization
    np.testing.assert_allclose(stored.mean, env.obs_rms.mean)
    np.testing.assert_allclose(stored.var, env.obs_rms.var)


def test_command(folder, tmp_path, capsys):
    output = str(tmp_path / "new" / "set.safetensors")
    small = ["--timesteps", "2000", "--n-envs", "8", "--n-instances", "6", "--inner-loop", "ridge", "--json"]
    assert cli.main(["clone", str(folder / "td3.zip"), "--env", "Pendulum-v1", "-o", output, *small]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["dataset"] == output
    assert told["k"] == 6
    assert told["vecnormalize"] is None
    dataset = SyntheticDataset.load(output)
    assert dataset.info.env_id == "Pendulum-v1"
    assert dataset.info.loss == "dagger"
    assert dataset.info.inner_loop["name"] == "ridge"
    small += ["-params", "encoder_layers:1", "n_updates:2"]
    assert (
        cli.main(["clone", str(folder / "td3.zip"), "--env", "Pendulum-v1", "-o", output[:-12] + "1.safetensors", *small]) == 0
    )
    assert SyntheticDataset.load(output[:-12] + "1.safetensors").encoder_layers == 1
    # ... and PPMO goes on from it.
    model = PPMO("MlpPolicy", VecNormalize(make_vec_env("Pendulum-v1", 4)), initial_dataset=output, n_steps=16, seed=0)
    assert th.equal(model.dataset.labels, dataset.labels)
    assert model.learn(64).dataset.info.timesteps == dataset.info.timesteps + 64


# While the statistics are taken, when rewards do not matter, and while learners drive.
@pytest.mark.parametrize("what, bad_step", [("observation", 5), ("observation", 20), ("reward", 20)])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_is_not_finite_stops_it(what, bad_step):
    env = DummyVecEnv([lambda i=i: FaultyEnv(bad_step if i else 0, what, float("inf")) for i in range(2)])
    expert = Expert(PPO("MlpPolicy", env, n_steps=8, batch_size=8, device="cpu").policy)
    with pytest.raises(FloatingPointError, match=f"{what} is NaN or infinite at step"):
        clone(expert, env, 1_000, n_steps=16, n_updates=1, batch_size=16)


@pytest.mark.parametrize("algorithm", [SAC, TD3, TQC, DQN])
def test_every_kind_of_agent_is_recognised(algorithm, tmp_path):
    env_id = "CartPole-v1" if algorithm is DQN else "Pendulum-v1"
    agent = algorithm("MlpPolicy", env_id, buffer_size=10, device="cpu")
    agent.save(tmp_path / "agent.zip")
    observations = np.stack([agent.observation_space.sample() for _ in range(5)])
    expected, _ = agent.predict(observations, deterministic=True)
    np.testing.assert_array_equal(Expert.load(tmp_path / "agent.zip")(observations), expected)


def test_dict_observations():
    make = [lambda: SimpleMultiObsEnv(random_start=False, discrete_actions=True)] * 4
    agent = PPO("MultiInputPolicy", DummyVecEnv(make), n_steps=8, batch_size=8, device="cpu")
    model = clone(
        Expert(agent.policy), DummyVecEnv(make), 64, policy="MultiInputPolicy", n_steps=8, n_updates=2, batch_size=16
    )
    assert model.num_timesteps == 64
    assert model.dataset.info.normalization is None


def test_images_are_seen_as_the_agent_sees_them():
    gym.register("OwnImages-v0", lambda: FakeImageEnv(screen_height=36, screen_width=36, n_channels=3))
    network = dict(features_extractor_kwargs=dict(features_dim=8))
    agent = PPO("CnnPolicy", "OwnImages-v0", n_steps=8, batch_size=8, policy_kwargs=network, device="cpu")
    small = dict(policy="CnnPolicy", policy_kwargs=network, n_steps=4, n_updates=1, batch_size=4)
    model = clone(Expert(agent.policy), "OwnImages-v0", 16, 2, **small)
    assert model.dataset.observations.shape[1:] == (3, 36, 36)
    assert model.dataset.info.normalization is None


def test_only_numbers_with_a_fraction_are_normalised():
    space = spaces.Box(0, 255, (8,), np.uint8)
    env = DummyVecEnv([lambda: SpacesEnv(space)] * 2)
    agent = PPO("MlpPolicy", env, n_steps=8, batch_size=8, device="cpu")
    assert clone(Expert(agent.policy), env, 16, n_steps=4, n_updates=1, batch_size=4).dataset.info.normalization is None


def test_normalised_observations_are_kept_where_the_environment_has_whole_numbers():
    # SB3's buffers have the type of the space: 1.7 and -0.3 would be kept as 1 and 0 (or 255).
    for space in (spaces.Box(0, 255, (8,), np.uint8), spaces.Dict({"memory": spaces.Box(0, 255, (8,), np.uint8)})):
        env = VecNormalize(DummyVecEnv([lambda space=space: SpacesEnv(space)] * 2), norm_reward=False)
        policy = "MultiInputPolicy" if isinstance(space, spaces.Dict) else "MlpPolicy"
        agent = PPO(policy, env, n_steps=8, batch_size=8, device="cpu")
        cloned = clone(Expert(agent.policy), env, 16, policy=policy, n_steps=4, n_updates=1, batch_size=4)
        learned = PPMO(policy, env, n_steps=8, n_learners=1, batch_size=8, seed=0).learn(16)
        for buffer in (cloned.replay_buffer, learned.rollout_buffer):
            kept = buffer.observations["memory"] if isinstance(space, spaces.Dict) else buffer.observations
            assert kept.dtype == np.float32
            assert kept.min() < 0 < kept.max() < 10


def test_statistics_of_an_initial_dataset_stay(folder):
    expert = Expert.load(folder / "pendulum.zip")
    small = dict(n_envs=4, n_steps=16, n_updates=2, batch_size=16)
    first = clone(expert, "Pendulum-v1", 128, **small).dataset
    second = clone(expert, "Pendulum-v1", 128, initial_dataset=first, **small)
    np.testing.assert_array_equal(second.dataset.info.normalization.mean, first.info.normalization.mean)
    assert second.dataset.info.timesteps == first.info.timesteps + 128
    raw = clone(Expert.load(folder / "cartpole.zip"), "CartPole-v1", 128, initial_dataset="CartPole-v1", **small)
    assert raw.dataset.info.normalization is None  # it was made without
    with pytest.raises(NotImplementedError, match=r"save `model.dataset`, and go on with DAgger"):
        second.save("model.zip")


def test_what_does_not_fit_is_refused(folder, tmp_path, capsys):
    output = str(tmp_path / "set.safetensors")
    cartpole = str(folder / "cartpole.zip")

    def error(*arguments):
        assert cli.main(["clone", *arguments]) == 1
        return capsys.readouterr().err

    given = (cartpole, "--env", "CartPole-v1", "-o", output, "-params")
    assert "unknown key 'n_update' in -params, did you mean 'n_updates'?" in error(*given, "n_update:3")
    assert "-params cannot say seed" in error(*given, "seed:3")
    assert "-params are name:value" in error(*given, "seed")
    told = error(cartpole, "--env", "Pendulum-v1", "-o", output)
    assert "the agent was trained for observation space Box(4,), the environment has Box(3,)" in told
    assert "there is no agent missing.zip" in error("missing.zip", "--env", "CartPole-v1", "-o", output)
    (tmp_path / "text.zip").write_text("no zip")
    assert "is not a zip that an SB3 algorithm saved" in error(
        str(tmp_path / "text.zip"), "--env", "CartPole-v1", "-o", output
    )
    assert "`algo` must be one of PPO" in error(cartpole, "--env", "CartPole-v1", "-o", output, "--algo", "x")
    assert "must be called *.safetensors" in error(cartpole, "--env", "CartPole-v1", "-o", "set.zip")
    assert "there are no statistics" in error(cartpole, "--env", "CartPole-v1", "-o", output, "--vecnormalize", "no.pkl")
    (tmp_path / "vecnormalize.pkl").write_bytes(b"nothing")
    told = error(cartpole, "--env", "CartPole-v1", "-o", output, "--vecnormalize", str(tmp_path / "vecnormalize.pkl"))
    assert "vecnormalize.pkl does not fit" in told
    assert "`total_timesteps` must be at least 1" in error(cartpole, "--env", "CartPole-v1", "-o", output, "--timesteps", "0")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("text", "no agent")
    assert "is not a zip that an SB3 algorithm saved" in error(str(tmp_path / "other.zip"), "--env", "x", "-o", output)
    with pytest.raises(ValueError, match=r"for action space Discrete\(2\), the environment has Box\(1,\)"):
        Expert.load(cartpole).check_spaces(Expert.load(cartpole).policy.observation_space, spaces.Box(-1, 1, (1,)))


def test_an_agent_of_rescaled_actions(folder):
    env = make_vec_env(
        "Pendulum-v1", 2, wrapper_class=gym.wrappers.RescaleAction, wrapper_kwargs=dict(min_action=-1, max_action=1)
    )
    with pytest.raises(ValueError, match=r"actions lie in \[-2, 2\], those of the environment in \[-1, 1\]"):
        clone(Expert.load(folder / "pendulum.zip"), env, 100)


def test_agents_that_are_none(tmp_path):
    RecurrentPPO("MlpLstmPolicy", "CartPole-v1", n_steps=8, batch_size=8, device="cpu").save(tmp_path / "recurrent.zip")
    with pytest.raises(ValueError, match="is recurrent: its actions do not follow from one observation"):
        Expert.load(tmp_path / "recurrent.zip")
    PPMO("MlpPolicy", "CartPole-v1", n_steps=64, device="cpu").save(tmp_path / "run.zip")
    with pytest.raises(ValueError, match=r"is a run of PPMO, which has a dataset: PPMO.load\(...\).dataset"):
        Expert.load(tmp_path / "run.zip")


def test_stacks_belong_inside_the_normalisation(folder):
    env = VecFrameStack(VecNormalize(make_vec_env("CartPole-v1", 2)), 2)
    agent = PPO("MlpPolicy", env, n_steps=8, batch_size=8, device="cpu")
    with pytest.raises(ValueError, match="put frame stacks inside the VecNormalize"):
        DAgger("MlpPolicy", env, Expert(agent.policy))


def test_a_policy_of_ones_own_needs_the_name_of_its_algorithm(tmp_path):
    class Own(PPO.policy_aliases["MlpPolicy"]):
        pass

    PPO(Own, "CartPole-v1", device="cpu").save(tmp_path / "agent.zip")
    with pytest.raises(ValueError, match="a policy Own of its own: say which algorithm saved it, one of PPO, A2C"):
        Expert.load(tmp_path / "agent.zip")
    assert Expert.load(tmp_path / "agent.zip", algo="ppo")(np.zeros((2, 4), dtype=np.float32)).shape == (2,)


def test_an_agent_is_cloned_in_whatever_is_an_environment():
    agent = PPO("MlpPolicy", "CartPole-v1", n_steps=8, batch_size=8)
    small = dict(n_steps=4, n_updates=1, batch_size=4)

    def one():
        return gym.make("CartPole-v1")

    for source, n_envs in ((one, 3), (lambda n: make_vec_env("CartPole-v1", n), 3), (one(), 1), (sb3_make_vec_env(one, 2), 2)):
        model = clone(Expert(agent.policy), source, 16, 3, **small)
        assert (model.n_envs, model.dataset.info.env_id) == (n_envs, "CartPole-v1")
    with pytest.raises(ValueError, match="`env` must be an id, an environment, its class"):
        clone(Expert(agent.policy), 3, 16)
