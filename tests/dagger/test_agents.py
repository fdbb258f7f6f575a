"""Agents of all kinds: what they need beside an observation, and what keeps their zips from being read."""

import sys
import types
import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from sb3_contrib import MaskablePPO, RecurrentPPO
from stable_baselines3 import DQN, PPO, SAC, HerReplayBuffer
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CallbackList,
    CheckpointCallback,
    EvalCallback,
    EveryNTimesteps,
    StopTrainingOnNoModelImprovement,
)
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_distill import DistilledPolicy, evaluate_learners, make_vec_env
from sb3_distill.dagger import DAgger, Expert, clone
from sb3_distill.dagger.masks import are_allowed
from sb3_distill.rollback.checkpoints import Checkpoints

SMALL = dict(n_steps=16, n_updates=2, batch_size=32)


class Gates(gym.Env):
    """Several gates of which some are open: the observation shows them; a closed one is an error."""

    def __init__(self, actions=None):
        self.action_space = spaces.Discrete(3) if actions is None else actions
        self.observation_space = spaces.Box(0, 1, (self.size,), np.float32)

    @property
    def size(self):
        return int(np.sum(getattr(self.action_space, "nvec", getattr(self.action_space, "n", 0))))

    def look(self):
        sizes = getattr(self.action_space, "nvec", [self.size])
        self.open = np.concatenate([np.eye(n)[self.np_random.integers(n)] for n in sizes])
        return self.open.astype(np.float32)

    def action_masks(self):
        return self.open.astype(bool)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.look(), {}

    def step(self, action):
        if not are_allowed(np.asarray([action]), self.action_masks()[None], self.action_space)[0]:
            raise RuntimeError("closed")
        self.t += 1
        return self.look(), 1.0, self.t >= 10, False, {}


@pytest.mark.parametrize("actions", [spaces.Discrete(3), spaces.MultiDiscrete([2, 3])], ids=["Discrete", "MultiDiscrete"])
def test_a_masked_agent_is_cloned_with_its_masks(actions, tmp_path):
    def make(n):
        return DummyVecEnv([lambda: Gates(actions)] * n)

    agent = MaskablePPO("MlpPolicy", make(1), n_steps=16, batch_size=16, seed=0, device="cpu")
    agent.save(tmp_path / "agent.zip")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the agent gets")  # its rewards say nothing: all are allowed
        expert = Expert.load(tmp_path / "agent.zip")
        assert expert.takes_masks
        env = VecNormalize(make(8), norm_obs=False, norm_reward=False)
        model = DAgger("MlpPolicy", env, expert, n_steps=64, n_updates=30, seed=0).learn(4_000)
    masks = np.eye(3, dtype=bool) if actions == spaces.Discrete(3) else np.array([[1, 0, 0, 1, 0], [0, 1, 0, 0, 1]], bool)
    answers = expert(masks.astype(np.float32), masks)
    assert are_allowed(answers, masks, actions).all()
    policy = DistilledPolicy.from_dataset(model.dataset, seed=1)
    assert (policy.predict(masks.astype(np.float32), deterministic=True)[0] == answers).all()


def test_choices_of_every_kind_are_looked_up_in_masks():
    masks = np.array([[1, 0, 1, 1, 0], [0, 1, 1, 0, 1]], dtype=bool)
    assert are_allowed(np.array([0, 0]), masks, spaces.Discrete(5)).tolist() == [True, False]
    assert are_allowed(np.array([[0, 1], [0, 0]]), masks, spaces.MultiDiscrete([2, 3])).tolist() == [True, False]
    assert are_allowed(np.array([[0, 1], [1, 0]]), masks[:, [0, 1, 3, 4]], spaces.MultiBinary(2)).tolist() == [False, False]


def test_an_environment_without_masks_is_refused():
    agent = MaskablePPO("MlpPolicy", Gates(), n_steps=16, batch_size=16, device="cpu")
    env = DummyVecEnv([lambda: gym.make("CartPole-v1")])
    agent.policy.observation_space, agent.policy.action_space = env.observation_space, env.action_space
    for use in (lambda expert: clone(expert, env, 64, **SMALL), lambda expert: DAgger("MlpPolicy", env, expert, **SMALL)):
        expert = object.__new__(Expert)
        expert.__dict__.update(policy=agent.policy, normalization=None, takes_masks=True)
        with pytest.raises(ValueError, match="depend on action masks, and the environment has no method `action_masks`"):
            use(expert)


class Remembering(ActorCriticPolicy):
    """Recurrent, and nothing in its name or its arguments says so."""

    steps = 0

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        self.steps += 1
        return np.full(len(observation), self.steps % 2), None


class Stateful(ActorCriticPolicy):
    """Returns what it must be given again."""

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return super().predict(observation, state, episode_start, deterministic)[0], (np.zeros(3),)


class Conditioned(ActorCriticPolicy):
    """Needs more than an observation."""

    def _predict(self, observation, goal, deterministic=False):
        return super()._predict(observation, deterministic)


@pytest.mark.parametrize(
    "policy, told",
    [
        (Remembering, "asked the same twice, it answers otherwise"),
        (Stateful, "from the state that `predict` returns too"),
        (Conditioned, "but need goal too"),
    ],
)
def test_agents_that_remember_are_refused_by_what_they_do(policy, told):
    space = spaces.Box(-1, 1, (3,))
    with pytest.raises(ValueError, match=f"recurrent: its actions do not follow from one observation.*{told}"):
        Expert(policy(space, spaces.Discrete(2), lambda _: 0.0))


def test_recurrent_agents_are_refused_at_every_door(tmp_path):
    agent = RecurrentPPO("MlpLstmPolicy", "CartPole-v1", n_steps=8, batch_size=8, device="cpu")
    agent.save(tmp_path / "agent.zip")
    refused = "recurrent: its actions do not follow from one observation"
    for door in (lambda: Expert(agent.policy), lambda: Expert(agent), lambda: Expert.load(tmp_path / "agent.zip")):
        with pytest.raises(ValueError, match=refused):
            door()
    with pytest.raises(TypeError, match="recurrent"):
        DistilledPolicy.from_dataset("CartPole-v1", policy=type(agent.policy))
    with pytest.raises(TypeError, match="recurrent"):
        DistilledPolicy.from_dataset("CartPole-v1", policy=Conditioned)
    with pytest.raises((TypeError, ValueError), match="recurrent"):
        evaluate_learners("CartPole-v1", 1, 1, policy=type(agent.policy))


class Goals(gym.Env):
    """A goal to reach."""

    part = spaces.Box(-5, 5, (2,), np.float32)
    observation_space = spaces.Dict(observation=part, achieved_goal=part, desired_goal=part)

    def __init__(self, action_space=None):
        self.action_space = action_space or spaces.Box(-1, 1, (2,), np.float32)

    def see(self):
        return {key: np.full(2, self.t / 10, dtype=np.float32) for key in self.observation_space.spaces}

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return self.see(), {}

    def compute_reward(self, achieved, desired, info):
        return -np.linalg.norm(achieved - desired, axis=-1)

    def step(self, action):
        self.t += 1
        return self.see(), 0.0, False, self.t >= 5, {}


def test_an_agent_of_several_steps(tmp_path):
    agent = SAC("MlpPolicy", "Pendulum-v1", n_steps=3, optimize_memory_usage=False, buffer_size=20, device="cpu")
    agent.save(tmp_path / "agent.zip")
    for _ in range(2):
        assert Expert.load(tmp_path / "agent.zip")(np.zeros((2, 3), dtype=np.float32)).shape == (2, 1)


@pytest.mark.parametrize("algorithm", [SAC, DQN])
def test_an_agent_with_a_memory_of_its_own_needs_none(algorithm, tmp_path):
    env = Goals(spaces.Discrete(3) if algorithm is DQN else None)
    memory = dict(n_sampled_goal=4, goal_selection_strategy="future")
    agent = algorithm(
        "MultiInputPolicy", env, replay_buffer_class=HerReplayBuffer, replay_buffer_kwargs=memory, learning_starts=10,
        buffer_size=50, device="cpu",
    ).learn(20)  # fmt: skip
    agent.save(tmp_path / "agent.zip")
    observation = {key: value[None] for key, value in env.reset()[0].items()}
    expected = agent.predict(observation, deterministic=True)[0]
    np.testing.assert_allclose(Expert.load(tmp_path / "agent.zip")(observation), expected, atol=1e-6)


def test_zips_of_gym_are_told(tmp_path, monkeypatch):
    module = types.ModuleType("gym.spaces")

    class Box:
        pass

    Box.__module__, Box.__qualname__ = "gym.spaces", "Box"
    module.Box = Box
    package = types.ModuleType("gym")
    package.__version__ = "0.21.0"
    monkeypatch.setitem(sys.modules, "gym", package)
    monkeypatch.setitem(sys.modules, "gym.spaces", module)
    agent = PPO("MlpPolicy", "CartPole-v1", device="cpu")
    space, agent.observation_space = agent.observation_space, Box()
    agent.save(tmp_path / "agent.zip")
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"agent.zip was saved with gym, .*`pip install gym==0.26.2 shimmy`.*custom_objects"):
        Expert.load(tmp_path / "agent.zip")
    expert = Expert.load(tmp_path / "agent.zip", custom_objects={"observation_space": space})
    assert expert(np.zeros((2, 4), dtype=np.float32)).shape == (2,)


@pytest.mark.parametrize("is_there", [False, True])
def test_zips_that_name_what_is_absent_say_so(tmp_path, monkeypatch, is_there):
    module = types.ModuleType("policies_of_somebody")

    class Own(PPO.policy_aliases["MlpPolicy"]):
        pass

    Own.__module__, Own.__qualname__ = module.__name__, "Own"
    module.Own = Own
    monkeypatch.setitem(sys.modules, module.__name__, module)
    PPO(Own, "CartPole-v1", device="cpu").save(tmp_path / "agent.zip")
    if is_there:
        del module.Own
    else:
        monkeypatch.undo()
    with pytest.raises(ValueError, match=r"agent.zip.*policies_of_somebody"):
        Expert.load(tmp_path / "agent.zip", algo="ppo")


def test_statistics_that_are_not_the_agents_are_refused():
    agent = PPO("MlpPolicy", "CartPole-v1", device="cpu")
    with pytest.raises(ValueError, match=r"statistics are of observations of shape \(3,\), the agent was trained for \(4,\)"):
        Expert(agent.policy, VecNormalize(make_vec_env("Pendulum-v1", 1)))


def test_statistics_that_lie_there_unused_are_told(tmp_path):
    env = VecNormalize(make_vec_env("CartPole-v1", 1))
    PPO("MlpPolicy", env, device="cpu").save(tmp_path / "agent.zip")
    env.save(str(tmp_path / "vecnormalize.pkl"))
    with pytest.warns(UserWarning, match="vecnormalize.pkl lies with .*agent.zip and is not used"):
        assert Expert.load(tmp_path / "agent.zip").normalization is None
    assert Expert.load(tmp_path / "agent.zip", "none").normalization is None
    assert Expert.load(tmp_path / "agent.zip", tmp_path / "vecnormalize.pkl").normalization is not None


class Tilted(gym.Env):
    """Is the first number above 5? It never differs by much, so that only a normalised one tells."""

    observation_space, action_space = spaces.Box(-np.inf, np.inf, (2,), np.float32), spaces.Discrete(2)

    def look(self):
        self.x = self.np_random.normal(size=2)
        return (0.1 * self.x + [5.0, -3.0]).astype(np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.look(), {}

    def step(self, action):
        reward = float(action == (self.x[0] > 0))
        self.t += 1
        return self.look(), reward, self.t >= 20, False, {}


@pytest.fixture(scope="module")
def normalised_agent():
    venv = VecNormalize(make_vec_env(Tilted, 8, seed=0), norm_reward=False)
    agent = PPO("MlpPolicy", venv, n_steps=64, batch_size=128, learning_rate=3e-3, seed=0, device="cpu").learn(6_000)
    venv.training = False
    return agent, venv


def test_an_agent_that_plays_like_chance_is_told(normalised_agent, tmp_path):
    agent, venv = normalised_agent
    agent.save(tmp_path / "agent.zip")
    for expert in (Expert(agent.policy), Expert.load(tmp_path / "agent.zip")):
        with pytest.warns(UserWarning, match="random actions get .*normalised observations, pass the statistics"):
            clone(expert, make_vec_env(Tilted, 8, seed=0), 128, **SMALL)
    before = venv.obs_rms.mean.copy()
    with pytest.warns(UserWarning, match=r"behind the VecNormalize of this environment it gets 1\d.*: Expert\(policy, env\)"):
        clone(Expert(agent.policy), venv, 128, **SMALL)
    np.testing.assert_array_equal(venv.obs_rms.mean, before)
    assert (venv.norm_obs, venv.training) == (True, False)
    clone(Expert(agent.policy, venv), venv, 128, **SMALL)  # no warning


def test_playing_before_changes_nothing_that_is_learned():
    def made(learn):
        env = VecNormalize(make_vec_env("CartPole-v1", 4, seed=3), norm_reward=False)
        return learn(env).dataset.labels

    expert = Expert(PPO("MlpPolicy", "CartPole-v1", seed=0, device="cpu").policy)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        played = made(lambda env: clone(expert, env, 256, seed=5, **SMALL))
    plain = made(lambda env: DAgger("MlpPolicy", env, expert, seed=5, **SMALL).learn(256))
    assert th.equal(played, plain)


class SavesItself(BaseCallback):
    def _on_step(self):
        if self.n_calls == 100:
            self.model.save("never")
        return True


class SavesTheDataset(BaseCallback):
    def __init__(self, path):
        super().__init__()
        self.path = path

    def _on_step(self):
        return True

    def _on_training_end(self):
        self.model.dataset.save(self.path)


@pytest.mark.parametrize(
    "make, name",
    [
        (lambda path: CheckpointCallback(100, str(path)), "CheckpointCallback"),
        (lambda path: Checkpoints(path), "Checkpoints"),
        (lambda path: EvalCallback(make_vec_env("CartPole-v1"), best_model_save_path=str(path)), "EvalCallback"),
        (lambda path: CallbackList([EveryNTimesteps(50, CheckpointCallback(1, str(path)))]), "CheckpointCallback"),
        (lambda path: EvalCallback(make_vec_env("CartPole-v1"), callback_after_eval=SavesItself()), "SavesItself"),
        (lambda path: [SavesTheDataset(path), SavesItself()], "SavesItself"),
        (lambda path: lambda one, other: one["self"].model.save(path), "ConvertCallback"),
    ],
)
def test_callbacks_that_would_save_a_clone_are_refused_before_it_learns(make, name, tmp_path):
    expert = Expert(PPO("MlpPolicy", "CartPole-v1", device="cpu").policy)
    model = DAgger("MlpPolicy", make_vec_env("CartPole-v1", 2), expert, seed=0, **SMALL)
    with pytest.raises(ValueError, match=f"{name} saves the model, and a DAgger cannot be saved, .*`model.dataset`"):
        model.learn(64, callback=make(tmp_path / "run"))
    assert model.num_timesteps == 0


def test_callbacks_that_save_something_else_are_welcome(tmp_path):
    expert = Expert(PPO("MlpPolicy", "CartPole-v1", device="cpu").policy)
    model = DAgger("MlpPolicy", make_vec_env("CartPole-v1", 2), expert, seed=0, **SMALL)
    stop = StopTrainingOnNoModelImprovement(9)
    evaluation = EvalCallback(make_vec_env("CartPole-v1"), eval_freq=16, callback_after_eval=stop, warn=False)
    model.learn(64, callback=[SavesTheDataset(tmp_path / "set.safetensors"), evaluation])
    assert (tmp_path / "set.safetensors").is_file()


def test_a_model_in_place_of_an_expert_is_told_how_to_be_one():
    with pytest.raises(ValueError, match=r"`expert` must be an Expert, got a PPO: Expert\(model.policy\) makes one"):
        clone(PPO("MlpPolicy", "CartPole-v1"), "CartPole-v1", 256)
