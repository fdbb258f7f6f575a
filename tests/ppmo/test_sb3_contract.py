"""PPMO is an SB3 algorithm: spaces, vector environments, callbacks, schedules, saving, policies, seeds and error messages."""

import copy
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from stable_baselines3 import PPO
from stable_baselines3.common import callbacks
from stable_baselines3.common.buffers import DictRolloutBuffer
from stable_baselines3.common.envs import FakeImageEnv, SimpleMultiObsEnv
from stable_baselines3.common.logger import configure
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecCheckNan,
    VecEnv,
    VecExtractDictObs,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
    VecTransposeImage,
)

from sb3_distill import PPMO, DistilledPolicy, SyntheticDataset, evaluate_learners

N_ENVS = N_LEARNERS = 4
SETTINGS = dict(
    n_learners=N_LEARNERS, n_instances=4, n_steps=8, batch_size=16, n_epochs=2, policy_kwargs=dict(net_arch=[8]), seed=0
)
ROLLOUT = N_ENVS * SETTINGS["n_steps"]

ACTIONS = {
    "Box": spaces.Box(-2, 1, (2, 3)),
    "Discrete": spaces.Discrete(3),
    "MultiDiscrete": spaces.MultiDiscrete([2, 3]),
    "MultiBinary": spaces.MultiBinary(3),
}
BOX, DISCRETE = spaces.Box(-1, 1, (3,)), ACTIONS["Discrete"]
IMAGE = spaces.Box(0, 255, (36, 36, 1), np.uint8)
VECTORS = spaces.Dict(one=BOX, two=spaces.Box(0, 9, (2,)))
OBSERVATIONS = {
    "Box": BOX,
    "Box2D": spaces.Box(-1, 1, (2, 2), np.float64),
    "Discrete": spaces.Discrete(4),
    "MultiDiscrete": spaces.MultiDiscrete([2, 3]),
    "MultiBinary": spaces.MultiBinary((2, 2)),
    "image": IMAGE,
    "Dict": spaces.Dict(
        vec=BOX, img=IMAGE, discrete=spaces.Discrete(3), multi=spaces.MultiDiscrete([2, 2]), binary=spaces.MultiBinary(2)
    ),
}


class SpacesEnv(gym.Env):
    """
    Any spaces: random observations, the more reward the closer the action is to a fixed one (or always the same reward).
    Every other episode of eight steps is cut off by a time limit.
    """

    def __init__(self, observation_space=BOX, action_space=DISCRETE, reward=None):
        self.observation_space, self.action_space = copy.deepcopy(observation_space), copy.deepcopy(action_space)
        draw = copy.deepcopy(action_space)
        draw.seed(0)
        self.target, self.reward = draw.sample(), reward
        self.steps = self.episodes = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
            self.episodes = 0
        self.steps = 0
        self.episodes += 1
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action), f"{action!r} is not in {self.action_space}"
        self.steps += 1
        distance = np.abs(np.asarray(action, dtype=float) - self.target).mean()
        reward, end = -distance if self.reward is None else self.reward, self.steps == 8
        by_time_limit = self.episodes % 2 == 0
        return self.observation_space.sample(), float(reward), end and not by_time_limit, end and by_time_limit, {}


def spaces_env(observation_space=BOX, action_space=DISCRETE, n_envs=N_ENVS, cls=DummyVecEnv, reward=None, **kwargs):
    return cls([partial(SpacesEnv, observation_space, action_space, reward)] * n_envs, **kwargs)


def alias(space):
    if isinstance(space, spaces.Dict):
        return "MultiInputPolicy"
    return "CnnPolicy" if len(space.shape or ()) == 3 else "MlpPolicy"


def make(env=None, policy=None, **kwargs):
    env = spaces_env() if env is None else env
    space = env.single_observation_space if isinstance(env, gym.vector.VectorEnv) else env.observation_space
    return PPMO(policy or alias(space), env, **{**SETTINGS, **kwargs})


def through_a_file(model, tmp_path, *args, **kwargs):
    model.dataset.save(tmp_path / "set.safetensors")
    return DistilledPolicy.from_dataset(tmp_path / "set.safetensors", *args, seed=0, **kwargs)


def first(observations):
    return {key: value[0] for key, value in observations.items()} if isinstance(observations, dict) else observations[0]


def acts(actor, observations, action_space):
    """Whether all actions are in the space, for a batch and for one observation, sampled and greedy."""
    for deterministic in (True, False):
        batch, _ = actor.predict(observations, deterministic=deterministic)
        one, _ = actor.predict(first(observations), deterministic=deterministic)
        assert len(batch) == N_ENVS
        assert all(action_space.contains(action[()]) for action in [*batch, one])
    return True


def same(one, other):
    """Whether two state dicts are equal to the last bit."""
    assert one.keys() == other.keys()
    return all(th.equal(value, other[name]) for name, value in one.items())


# ------------------------------------------------------------------ 1: spaces


@pytest.mark.parametrize("action_space", ACTIONS.values(), ids=ACTIONS)
@pytest.mark.parametrize("observation_space", OBSERVATIONS.values(), ids=OBSERVATIONS)
def test_spaces(observation_space, action_space, tmp_path):
    model = make(spaces_env(observation_space, action_space)).learn(2 * ROLLOUT)
    assert model.learners.n_learners == N_LEARNERS and model.dataset.is_finite()
    policy = through_a_file(model, tmp_path)
    assert policy.observation_space == model.observation_space and policy.action_space == action_space
    raw = spaces_env(observation_space, action_space).reset()
    assert acts(model, raw, action_space) and acts(policy, raw, action_space)


@pytest.mark.parametrize(
    "env_class, kwargs",
    [
        (FakeImageEnv, dict(screen_height=36, screen_width=36, n_channels=3)),
        (FakeImageEnv, dict(screen_height=36, screen_width=36, n_channels=3, channel_first=True, discrete=False)),
        (SimpleMultiObsEnv, dict(channel_last=True)),
        (SimpleMultiObsEnv, dict(channel_last=False, discrete_actions=False)),
    ],
)
def test_sb3s_own_environments(env_class, kwargs, tmp_path):
    env = DummyVecEnv([partial(env_class, **kwargs)] * N_ENVS)
    model = make(env).learn(2 * ROLLOUT)
    assert acts(through_a_file(model, tmp_path), env.reset(), env.action_space)


@pytest.mark.parametrize(
    "action_space, use_sde",
    [*((space, False) for space in ACTIONS.values()), (ACTIONS["Box"], True)],
    ids=[*ACTIONS, "gSDE"],
)
def test_every_kind_of_action_is_learned(action_space, use_sde):
    build = partial(spaces_env, BOX, action_space)
    kwargs = dict(n_steps=64, batch_size=64, n_epochs=4, learning_rate=0.02, gamma=0.0, use_sde=use_sde)
    model = make(build(), **kwargs)
    score = partial(evaluate_learners, n_learners=20, n_episodes=2, env=lambda n: build(n_envs=n))
    before = score(model.dataset)
    model.learn(10 * 4 * 64)
    assert score(model.dataset).learner_means.mean() > 0.5 * before.mean  # returns are negative: half the distance is left


# ------------------------------------------------------------------ 2: vector environments


def vectorized(cls):
    return cls([SpacesEnv] * N_ENVS, autoreset_mode=AutoresetMode.SAME_STEP)


class OwnVecEnv(VecEnv):
    """A simulator of many environments, which as many do refuses access to single ones."""

    def __init__(self):
        self.env = spaces_env()
        self.render_mode = None
        super().__init__(N_ENVS, BOX, DISCRETE)

    def reset(self):
        return self.env.reset()

    def step_async(self, actions):
        self.env.step_async(actions)

    def step_wait(self):
        return self.env.step_wait()

    def close(self):
        self.env.close()

    def get_attr(self, attr_name, indices=None):
        if attr_name == "render_mode":
            return [None] * N_ENVS
        raise NotImplementedError

    def set_attr(self, attr_name, value, indices=None):
        raise NotImplementedError

    def env_method(self, method_name, *args, indices=None, **kwargs):
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class, indices=None):
        return [False] * N_ENVS


VEC_ENVS = {
    "SubprocVecEnv": partial(spaces_env, cls=SubprocVecEnv, start_method="fork"),
    "SyncVectorEnv": partial(vectorized, SyncVectorEnv),
    "AsyncVectorEnv": partial(vectorized, AsyncVectorEnv),
    "VecMonitor": lambda: VecMonitor(spaces_env()),
    "VecCheckNan": lambda: VecCheckNan(VecMonitor(spaces_env()), raise_exception=True),
    "VecFrameStack-SubprocVecEnv": lambda: VecFrameStack(VecMonitor(VEC_ENVS["SubprocVecEnv"]()), 2),
    "VecFrameStack-images": lambda: VecFrameStack(spaces_env(IMAGE), 2),
    "VecExtractDictObs": lambda: VecExtractDictObs(spaces_env(VECTORS), "two"),
}


@pytest.mark.parametrize("build", VEC_ENVS.values(), ids=VEC_ENVS)
def test_vec_envs(build, tmp_path):
    model = make(build()).learn(2 * ROLLOUT)
    try:
        assert model.num_timesteps == 2 * ROLLOUT
        monitored = isinstance(model.get_env(), VecMonitor) or isinstance(getattr(model.get_env(), "venv", None), VecMonitor)
        assert bool(model.ep_info_buffer) == monitored
        assert acts(through_a_file(model, tmp_path), model.get_env().reset(), DISCRETE)
    finally:
        model.get_env().close()


def test_vec_envs_without_access_to_single_environments(tmp_path):
    model = make(OwnVecEnv()).learn(2 * ROLLOUT)
    assert acts(through_a_file(model, tmp_path), spaces_env().reset(), DISCRETE)


@pytest.mark.parametrize(
    "observation_space, build",
    [
        pytest.param(BOX, lambda normalize, env: normalize(env), id="plain"),
        pytest.param(BOX, lambda normalize, env: VecMonitor(normalize(VecFrameStack(env, 2))), id="normalize-stack"),
        pytest.param(BOX, lambda normalize, env: VecFrameStack(normalize(VecMonitor(env)), 2), id="stack-normalize"),
        pytest.param(VECTORS, lambda normalize, env: normalize(env), id="Dict"),
        pytest.param(VECTORS, lambda normalize, env: normalize(env, norm_obs_keys=["two"]), id="Dict-one-key"),
        pytest.param(VECTORS, lambda normalize, env: VecFrameStack(normalize(env), 2), id="stack-normalize-Dict"),
        pytest.param(IMAGE, lambda normalize, env: normalize(env), id="image"),
        pytest.param(IMAGE, lambda normalize, env: normalize(VecTransposeImage(env)), id="transposed"),
    ],
)
def test_a_taught_policy_takes_what_the_environment_gives_without_vec_normalize(observation_space, build, tmp_path):
    env = build(VecNormalize, spaces_env(observation_space, ACTIONS["Box"]))
    raw_env = build(lambda env, **_: env, spaces_env(observation_space, ACTIONS["Box"]))
    if isinstance(raw_env, VecTransposeImage):
        raw_env = raw_env.venv
    model = make(env, policy="MlpPolicy" if observation_space is IMAGE else None).learn(2 * ROLLOUT)
    policy = through_a_file(model, tmp_path)
    model.get_vec_normalize_env().training = False
    for one in (model.get_env(), raw_env):
        one.seed(7)
        one.reset()
    for _ in range(3):  # until all frames of a stack are real ones
        actions = np.zeros((N_ENVS, 2, 3), dtype=np.float32)
        normalized, raw = model.get_env().step(actions)[0], raw_env.step(actions)[0]
    seen = BasePolicy.predict(policy, normalized, deterministic=True)[0]
    np.testing.assert_allclose(policy.predict(raw, deterministic=True)[0], seen, rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------ 3: callbacks


@pytest.mark.parametrize("reached", [True, False], ids=["reward", "no_improvement"])
def test_eval_callback_stops(reached, tmp_path):
    env, eval_env = VecNormalize(spaces_env(reward=1.0)), VecNormalize(VecMonitor(spaces_env(reward=1.0)), training=False)
    stop = (
        dict(callback_on_new_best=callbacks.StopTrainingOnRewardThreshold(7.0, verbose=0))
        if reached
        else dict(callback_after_eval=callbacks.StopTrainingOnNoModelImprovement(1, min_evals=1, verbose=0))
    )
    evaluation = callbacks.EvalCallback(
        eval_env, eval_freq=10, n_eval_episodes=4, best_model_save_path=tmp_path, log_path=tmp_path, verbose=0, **stop
    )
    model = make(env).learn(50 * ROLLOUT, callback=evaluation)
    n_evaluations = 1 if reached else 3  # the first is the best, the second does not count yet, the third stops
    assert model.num_timesteps == n_evaluations * 10 * N_ENVS
    results = np.load(tmp_path / "evaluations.npz")
    assert results["results"].shape == (n_evaluations, 4) and (results["results"] == 8).all()
    np.testing.assert_array_equal(eval_env.obs_rms.mean, env.obs_rms.mean)
    assert acts(PPMO.load(tmp_path / "best_model"), eval_env.reset(), DISCRETE)


def test_checkpoints_in_the_middle_of_a_rollout_continue(tmp_path):
    checkpoints = callbacks.CheckpointCallback(6, tmp_path, save_vecnormalize=True)
    make(VecNormalize(spaces_env())).learn(2 * ROLLOUT, callback=checkpoints)
    steps = [6 * N_ENVS, 12 * N_ENVS]
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(
        [f"rl_model_{step}_steps.zip" for step in steps] + [f"rl_model_vecnormalize_{step}_steps.pkl" for step in steps]
    )
    env = VecNormalize.load(tmp_path / f"rl_model_vecnormalize_{steps[1]}_steps.pkl", spaces_env())
    model = PPMO.load(tmp_path / f"rl_model_{steps[1]}_steps", env=env)
    assert model.num_timesteps == steps[1] and model.get_vec_normalize_env() is env
    model.learn(ROLLOUT, reset_num_timesteps=False)
    assert model.num_timesteps == steps[1] + ROLLOUT


def test_many_callbacks_at_once(tmp_path, capfd):
    every = callbacks.EveryNTimesteps(3 * N_ENVS, callbacks.CheckpointCallback(1, tmp_path))
    episodes = callbacks.StopTrainingOnMaxEpisodes(max_episodes=5, verbose=0)  # over all environments: 20 of them
    chain = callbacks.CallbackList([every, episodes, callbacks.ProgressBarCallback()])
    model = make(VecMonitor(spaces_env())).learn(100 * ROLLOUT, callback=chain)
    assert model.num_timesteps == 5 * 8 * N_ENVS
    assert len(list(tmp_path.glob("*.zip"))) == model.num_timesteps // (3 * N_ENVS)
    assert f"{model.num_timesteps}/{100 * ROLLOUT}" in capfd.readouterr().out.replace(",", "")
    seen = []
    make().learn(ROLLOUT, callback=lambda local, _: seen.append(local["rewards"]) or True)
    assert len(seen) == SETTINGS["n_steps"]


class Recorder(callbacks.BaseCallback):
    """What a callback finds, and in which order it is called."""

    def __init__(self, n_steps=10**9):
        super().__init__()
        self.n_steps, self.events, self.steps = n_steps, [], []

    def _on_training_start(self):
        self.events.append(("start", self.locals["total_timesteps"]))

    def _on_rollout_start(self):
        self.events.append("rollout")

    def _on_step(self):
        assert self.model.num_timesteps == self.num_timesteps and self.training_env is self.model.get_env()
        names = ("new_obs", "actions", "rewards", "dones", "infos")
        self.steps.append({name: copy.deepcopy(self.locals[name]) for name in names})
        return len(self.steps) < self.n_steps

    def _on_rollout_end(self):
        self.events.append(("end", self.locals["rollout_buffer"].full))

    def _on_training_end(self):
        self.events.append("done")


@pytest.mark.parametrize(
    "action_space",
    [BOX, pytest.param(ACTIONS["Box"]), *(ACTIONS[name] for name in ACTIONS if name != "Box")],
    ids=["Box", "Box2D", "Discrete", "MultiDiscrete", "MultiBinary"],
)
def test_callbacks_find_what_they_find_in_ppo(action_space):
    ours, theirs = Recorder(), Recorder()
    make(spaces_env(BOX, action_space)).learn(ROLLOUT, callback=ours)
    PPO("MlpPolicy", spaces_env(BOX, action_space), n_steps=8, batch_size=16, seed=0).learn(ROLLOUT, callback=theirs)
    assert ours.events == theirs.events == [("start", ROLLOUT), "rollout", ("end", True), "done"]
    assert len(ours.steps) == len(theirs.steps)
    for our_step, their_step in zip(ours.steps, theirs.steps, strict=True):
        for name in ("new_obs", "actions", "rewards", "dones"):
            assert our_step[name].shape == their_step[name].shape and our_step[name].dtype == their_step[name].dtype
        np.testing.assert_array_equal(our_step["new_obs"], their_step["new_obs"])  # one seed, one environment
        np.testing.assert_array_equal(our_step["dones"], their_step["dones"])
        assert [set(info) for info in our_step["infos"]] == [set(info) for info in their_step["infos"]]


def test_a_run_stopped_by_a_callback_continues():
    recorder = Recorder(n_steps=3)
    model = make().learn(10 * ROLLOUT, callback=recorder)
    assert recorder.events[-1] == "done" and model.num_timesteps == 3 * N_ENVS and model._n_updates == 0
    model.learn(ROLLOUT, reset_num_timesteps=False)
    assert model.num_timesteps == 3 * N_ENVS + ROLLOUT and model._n_updates == SETTINGS["n_epochs"]


# ------------------------------------------------------------------ 4: schedules, parameters, environments, files


def column(folder, name):
    """As in PPO, what is logged by an update is written after the next rollout: the first row has none, the last is lost."""
    rows = [line.split(",") for line in (folder / "progress.csv").read_text().splitlines()]
    return [float(row[rows[0].index(name)]) for row in rows[2:]]


@pytest.mark.parametrize(
    "schedule", [lambda left: 0.1 * left, LinearSchedule(0.1, 0.0, 1.0)], ids=["lambda", "LinearSchedule"]
)
def test_schedules_are_followed_and_saved(schedule, tmp_path):
    names = ("learning_rate", "clip_range", "clip_range_vf")
    model = make(**dict.fromkeys((*names, "labels_learning_rate", "critic_learning_rate"), schedule))
    for total in (4 * ROLLOUT, 3 * ROLLOUT):  # the second time from a file
        model.set_logger(configure(str(tmp_path / str(total)), ["csv"]))
        model.learn(total)
        expected = [0.1 * (1 - step / total) for step in range(ROLLOUT, total, ROLLOUT)]
        for name in names:
            np.testing.assert_allclose(column(tmp_path / str(total), f"train/{name}"), expected, atol=1e-9)
        model.save(tmp_path / "model")
        model = PPMO.load(tmp_path / "model", env=spaces_env())


def test_parameters_round_trip(tmp_path):
    model, other = make().learn(2 * ROLLOUT), make(seed=1)
    model.save(tmp_path / "model")
    raw = np.stack([BOX.sample() for _ in range(50)])
    for source in (model.get_parameters(), tmp_path / "model"):
        fresh = make(seed=1)
        assert not same(fresh.dataset.state_dict(), model.dataset.state_dict())
        fresh.set_parameters(source)
        assert same(fresh.dataset.state_dict(), model.dataset.state_dict())
        expected = model.predict(raw, deterministic=True)[0]
        np.testing.assert_array_equal(fresh.predict(raw, deterministic=True)[0], expected)
        assert acts(fresh.learn(ROLLOUT), raw[:N_ENVS], DISCRETE)
    given = model.get_parameters()
    with pytest.raises(ValueError, match="nonsense"):
        other.set_parameters({**given, "nonsense": {}})
    with pytest.raises(ValueError, match="do not match"):
        other.set_parameters({"dataset": given["dataset"]})
    other.set_parameters({"dataset": given["dataset"]}, exact_match=False)
    assert same(other.dataset.state_dict(), given["dataset"])


def test_set_env_and_get_env(tmp_path):
    model = make(VecMonitor(spaces_env())).learn(ROLLOUT)
    for env in (VecNormalize(VecMonitor(spaces_env())), VecMonitor(spaces_env())):
        model.set_env(env)
        assert model.get_env() is env and model.get_vec_normalize_env() is (env if isinstance(env, VecNormalize) else None)
        model.learn(ROLLOUT, reset_num_timesteps=False)
    model.set_env(vectorized(SyncVectorEnv))
    assert model.learn(ROLLOUT, reset_num_timesteps=False).num_timesteps == 4 * ROLLOUT
    with pytest.raises(AssertionError, match=r"8 != 4.*`set_env` requires them to be the same.*PPMO\.load\(path, env\)"):
        model.set_env(spaces_env(n_envs=8))
    model.save(tmp_path / "model")
    loaded = PPMO.load(tmp_path / "model", env=spaces_env(n_envs=8))
    before = loaded.dataset.labels.detach().clone()
    assert loaded.n_envs == 8 and loaded.num_timesteps == 4 * ROLLOUT
    assert loaded.learn(2 * ROLLOUT, reset_num_timesteps=False).num_timesteps == 6 * ROLLOUT
    assert loaded.learners.n_learners == N_LEARNERS and not th.equal(loaded.dataset.labels, before)


@pytest.mark.parametrize(
    "n_learners, batch_size",
    [(N_LEARNERS, 16), pytest.param(None, 16), pytest.param(N_LEARNERS, None)],
)
def test_load_then_set_env_is_load_with_an_environment(n_learners, batch_size, tmp_path):
    model = make(n_learners=n_learners, batch_size=batch_size, n_steps=32).learn(ROLLOUT)
    model.save(tmp_path / "model")
    later = PPMO.load(tmp_path / "model")
    assert later.get_env() is None and acts(later, spaces_env().reset(), DISCRETE)
    later.set_env(spaces_env())
    at_once = PPMO.load(tmp_path / "model", env=spaces_env())
    for loaded in (later, at_once):
        loaded.learn(4 * ROLLOUT)
        assert loaded.learners.n_learners == N_LEARNERS
    assert later.parts.batch_size == at_once.parts.batch_size == model.parts.batch_size


def test_counters_and_the_log_folder_go_on(tmp_path):
    model = make(VecMonitor(spaces_env()), tensorboard_log=str(tmp_path)).learn(2 * ROLLOUT)
    model.save(tmp_path / "model")
    n_episodes = len(model.ep_info_buffer)
    for continued in (model, PPMO.load(tmp_path / "model", env=VecMonitor(spaces_env()))):
        assert continued.num_timesteps == 2 * ROLLOUT and continued._n_updates == 2 * SETTINGS["n_epochs"]
        assert len(continued.ep_info_buffer) == n_episodes > 0
        continued.learn(ROLLOUT, reset_num_timesteps=False)
        assert continued.num_timesteps == 3 * ROLLOUT and continued._n_updates == 3 * SETTINGS["n_epochs"]
        assert continued.dataset.info.timesteps == 3 * ROLLOUT
    assert [folder.name for folder in tmp_path.glob("PPMO*")] == ["PPMO_1"]
    model.learn(ROLLOUT)
    assert model.num_timesteps == ROLLOUT and (tmp_path / "PPMO_2").is_dir()


def test_what_is_changed_when_loading(tmp_path):
    model = make(learning_rate=lambda left: 0.01 * left, clip_range=lambda left: 0.2 * left).learn(ROLLOUT)
    model.save(tmp_path / "model")
    custom = dict(learning_rate=0.5, lr_schedule=lambda _: 0.5, clip_range=0.3)
    loaded = PPMO.load(tmp_path / "model", env=spaces_env(), custom_objects=custom, n_epochs=5, target_kl=None)
    loaded.set_logger(configure(str(tmp_path), ["csv"]))
    loaded.learn(2 * ROLLOUT)
    assert loaded._n_updates == SETTINGS["n_epochs"] + 2 * 5
    assert column(tmp_path, "train/learning_rate") == [0.5] and column(tmp_path, "train/clip_range") == [0.3]
    assert PPMO.load(tmp_path / "model", env=spaces_env(), n_learners=2).learn(ROLLOUT).learners.n_learners == 2


def test_weight_decay_can_be_changed_when_loading(tmp_path):
    model = make(learning_rate=0.0, weight_decay=0.0).learn(ROLLOUT)
    model.save(tmp_path / "model")
    loaded = PPMO.load(tmp_path / "model", env=spaces_env(), weight_decay=5.0, learning_rate=0.01).learn(4 * ROLLOUT)
    assert loaded.dataset.observations.norm() < 0.9 * model.dataset.observations.norm()


def test_save_excludes_and_includes(tmp_path):
    model = make(learning_rate=0.02, tensorboard_log=str(tmp_path)).learn(ROLLOUT)
    model.note = "mine"
    model.save(tmp_path / "without", exclude=["learning_rate", "tensorboard_log", "note"])
    model.save(tmp_path / "with", include=["rollout_buffer"])
    without, with_buffer = (PPMO.load(tmp_path / name, env=spaces_env()) for name in ("without", "with"))
    assert without.learning_rate == 0.005 and without.tensorboard_log is None and not hasattr(without, "note")
    assert with_buffer.learning_rate == 0.02 and with_buffer.note == "mine"
    for loaded in (without, with_buffer):
        assert same(loaded.dataset.state_dict(), model.dataset.state_dict())
        loaded.learn(ROLLOUT, reset_num_timesteps=False)


# ------------------------------------------------------------------ 5: seeds


@pytest.mark.parametrize("through_a_zip", [False, True], ids=["straight", "saved_and_loaded"])
@pytest.mark.parametrize(
    "build, kwargs",
    [
        pytest.param(spaces_env, {}, id="DummyVecEnv"),
        pytest.param(lambda: VecNormalize(spaces_env()), {}, id="VecNormalize"),
        pytest.param(partial(spaces_env, VECTORS), {}, id="Dict"),
        pytest.param(partial(spaces_env, BOX, ACTIONS["Box"]), {}, id="Box"),
        pytest.param(partial(spaces_env, BOX, ACTIONS["Box"]), dict(use_sde=True, sde_sample_freq=4), id="gSDE"),
        pytest.param(partial(spaces_env, cls=SubprocVecEnv, start_method="fork"), {}, id="SubprocVecEnv"),
    ],
)
def test_a_seed_decides_everything(build, kwargs, through_a_zip, tmp_path):
    datasets = []
    for run in range(2):
        th.manual_seed(run)
        np.random.seed(run)
        model = make(build(), **kwargs).learn(2 * ROLLOUT)
        if through_a_zip:
            model.save(tmp_path / f"model{run}")
            model.get_env().close()
            th.manual_seed(run)
            np.random.seed(run)
            model = PPMO.load(tmp_path / f"model{run}", env=build())
        model.learn(2 * ROLLOUT, reset_num_timesteps=False)
        model.get_env().close()
        datasets.append(model.dataset.state_dict())
    assert same(*datasets)


# ------------------------------------------------------------------ 6: policies and options


class Extractor(BaseFeaturesExtractor):
    def __init__(self, observation_space, features_dim=5):
        super().__init__(observation_space, features_dim)
        self.linear = th.nn.Linear(observation_space.shape[0], features_dim)

    def forward(self, observations):
        return th.relu(self.linear(observations)).clamp(max=3.0)


class Policy(ActorCriticPolicy):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **{"net_arch": [6], "activation_fn": th.nn.SiLU, **kwargs})


OWN_EXTRACTOR = dict(features_extractor_class=Extractor, net_arch=[8])


@pytest.mark.parametrize(
    "policy, policy_kwargs, widths",
    [
        pytest.param("MlpPolicy", dict(net_arch=[]), [], id="linear"),
        pytest.param("MlpPolicy", dict(net_arch=dict(pi=[4, 5], vf=[6])), [4, 5], id="pi-vf"),
        pytest.param("MlpPolicy", dict(net_arch=dict(pi=[], vf=[6])), [], id="vf-only"),
        pytest.param("MlpPolicy", dict(net_arch=[8], share_features_extractor=True), [8], id="shared"),
        pytest.param("MlpPolicy", dict(net_arch=[8], share_features_extractor=False), [8], id="separate"),
        pytest.param("MlpPolicy", dict(net_arch=[8], activation_fn=th.nn.ReLU), [8], id="ReLU"),
        pytest.param("MlpPolicy", dict(net_arch=[8], activation_fn=th.nn.Softsign), [8], id="Softsign"),
        pytest.param("MlpPolicy", dict(net_arch=[8], ortho_init=False), [8], id="not_orthogonal"),
        pytest.param("MlpPolicy", dict(net_arch=[8], optimizer_class=th.optim.RMSprop), [8], id="RMSprop"),
        pytest.param("MlpPolicy", {**OWN_EXTRACTOR, "share_features_extractor": True}, [5, 8], id="shared_extractor"),
        pytest.param(
            "MlpPolicy", {**OWN_EXTRACTOR, "features_extractor_kwargs": dict(features_dim=7)}, [7, 8], id="extractor"
        ),
        pytest.param("MlpPolicy", {**OWN_EXTRACTOR, "ortho_init": False}, [5, 8], id="extractor-not_orthogonal"),
        pytest.param(Policy, {}, [6], id="subclass"),
        pytest.param(Policy, dict(net_arch=[9]), [9], id="subclass-net_arch"),
    ],
)
def test_policies(policy, policy_kwargs, widths, tmp_path):
    given = copy.deepcopy(policy_kwargs)
    model = make(policy=policy, policy_kwargs=policy_kwargs)
    before = copy.deepcopy(model.policy.state_dict())
    model.learn(4 * ROLLOUT)
    assert policy_kwargs == given == model.policy_kwargs
    for part in ("action_net", "value_net"):
        assert not th.equal(model.policy.state_dict()[f"{part}.weight"], before[f"{part}.weight"])
    raw = spaces_env().reset()
    model.save(tmp_path / "model")
    loaded = PPMO.load(tmp_path / "model", env=spaces_env())
    model.policy.save(tmp_path / "policy")
    alone = type(model.policy).load(tmp_path / "policy")
    for actor in (loaded, alone):
        np.testing.assert_array_equal(actor.predict(raw, deterministic=True)[0], model.predict(raw, deterministic=True)[0])
    assert loaded.learn(ROLLOUT, reset_num_timesteps=False).dataset.is_finite()
    named = policy == "MlpPolicy" and "features_extractor_class" not in policy_kwargs
    taught = through_a_file(model, tmp_path) if named else through_a_file(model, tmp_path, policy, policy_kwargs)
    actor = [taught.pi_features_extractor, taught.mlp_extractor.policy_net]
    assert [layer.out_features for part in actor for layer in part.modules() if isinstance(layer, th.nn.Linear)] == widths
    assert acts(taught, raw, DISCRETE)


@pytest.mark.parametrize("share", [True, False], ids=["shared", "separate"])
def test_image_policies(share, tmp_path):
    space = spaces.Box(0, 1, (1, 36, 36), np.float32)
    kwargs = dict(net_arch=[8], features_extractor_kwargs=dict(features_dim=6), share_features_extractor=share)
    model = make(spaces_env(space), policy_kwargs={**kwargs, "normalize_images": False})
    policy = through_a_file(model.learn(2 * ROLLOUT), tmp_path)
    assert policy.features_extractor.features_dim == 6 and not policy.normalize_images
    assert acts(policy, spaces_env(space).reset(), DISCRETE)


def test_target_kl_ends_the_epochs():
    strict, none = (make(n_epochs=6, target_kl=target).learn(ROLLOUT) for target in (1e-9, None))
    assert strict._n_updates == 1 and none._n_updates == 6
    assert make(n_epochs=6, learning_rate=0.0, target_kl=1e-3).learn(ROLLOUT)._n_updates == 6  # nothing moves


# ------------------------------------------------------------------ 7: error messages


SB3S = (ValueError, AssertionError, NotImplementedError)  # what SB3 raises for bad input
BAD_OBSERVATIONS = [
    pytest.param(spaces.Tuple((BOX, BOX)), id="Tuple"),
    pytest.param(spaces.Dict(inner=spaces.Dict(one=BOX)), id="nested"),
    pytest.param(spaces.Sequence(BOX), id="Sequence"),
    pytest.param(spaces.Text(4), id="Text"),
    pytest.param(spaces.Dict(one=BOX, text=spaces.Text(4)), id="Dict-Text"),
    pytest.param(spaces.Discrete(3, start=1), id="Discrete-start"),
    pytest.param(spaces.MultiDiscrete([[2, 3], [2, 3]]), id="MultiDiscrete2D"),
]
BAD_ACTIONS = [
    pytest.param(spaces.Tuple((BOX, BOX)), id="Tuple"),
    pytest.param(spaces.Sequence(BOX), id="Sequence"),
    pytest.param(spaces.Text(4), id="Text"),
    pytest.param(spaces.Dict(one=BOX), id="Dict"),
    pytest.param(spaces.Box(-np.inf, np.inf, (2,)), id="unbounded"),
    pytest.param(spaces.MultiBinary((2, 2)), id="MultiBinary2D"),
    pytest.param(spaces.MultiDiscrete([[2, 3], [2, 3]]), id="MultiDiscrete2D"),
    pytest.param(spaces.Discrete(3, start=1), id="Discrete-start"),
    pytest.param(spaces.MultiDiscrete([2, 3], start=[1, 1]), id="MultiDiscrete-start"),
]


@pytest.mark.parametrize("space", BAD_OBSERVATIONS)
def test_observation_spaces_that_are_refused(space):
    with pytest.raises(SB3S, match="(?i)observation.*not supported"):
        PPMO("MultiInputPolicy" if isinstance(space, spaces.Dict) else "MlpPolicy", SpacesEnv(space), seed=0)


@pytest.mark.parametrize("space", BAD_ACTIONS)
def test_action_spaces_that_are_refused(space):
    with pytest.raises(
        SB3S, match="only supports.*as action spaces|finite lower and upper bound|action space is not supported"
    ):
        PPMO("MlpPolicy", SpacesEnv(BOX, space, reward=0.0), n_instances=4, seed=0)


@pytest.mark.parametrize(
    "policy, space, message",
    [
        pytest.param("MlpPolicy", VECTORS, "You must use `MultiInputPolicy`", id="Mlp-Dict"),
        pytest.param("CnnPolicy", VECTORS, "You must use `MultiInputPolicy`", id="Cnn-Dict"),
        pytest.param("CnnPolicy", BOX, "NatureCNN only with images", id="Cnn-Box"),
        pytest.param("MultiInputPolicy", BOX, "MlpPolicy", id="MultiInput-Box"),
        pytest.param("Nonsense", BOX, "Nonsense.*MlpPolicy", id="Nonsense"),
        pytest.param(3, BOX, "policy", id="3"),
    ],
)
def test_policies_that_are_refused(policy, space, message):
    with pytest.raises(SB3S, match=message):
        make(spaces_env(space), policy=policy)


def test_a_zip_of_other_spaces_or_numbers_is_refused(tmp_path):
    make().save(tmp_path / "model")
    load = partial(PPMO.load, tmp_path / "model")
    with pytest.raises(ValueError, match=r"Observation spaces do not match: Box.*\(3,\).* != Box.*\(5,\)"):
        load(env=spaces_env(spaces.Box(-1, 1, (5,))))
    with pytest.raises(ValueError, match=r"Action spaces do not match: Discrete\(3\) != Discrete\(5\)"):
        load(env=spaces_env(BOX, spaces.Discrete(5)))
    with pytest.raises(ValueError, match="`n_learners` must divide.*6 environments, n_learners=4"):
        load(env=spaces_env(n_envs=6))
    with pytest.raises(ValueError, match=r"policy kwargs do not equal.*\[8\].*\[9\]"):
        load(policy_kwargs=dict(net_arch=[9]))


def test_a_zip_of_another_algorithm_is_refused(tmp_path):
    PPO("MlpPolicy", spaces_env(), n_steps=8, batch_size=16).save(tmp_path / "ppo")
    with pytest.raises(ValueError, match="not saved by PPMO|saved by another algorithm"):
        PPMO.load(tmp_path / "ppo", env=spaces_env())


def test_learning_without_an_environment_is_refused(tmp_path):
    make().save(tmp_path / "model")
    with pytest.raises(SB3S, match="set_env"):
        PPMO.load(tmp_path / "model").learn(ROLLOUT)


def test_other_buffers_are_refused():
    with pytest.raises(ValueError, match="must derive from LearnerRolloutBuffer.*DictRolloutBuffer does not"):
        make(spaces_env(VECTORS), rollout_buffer_class=DictRolloutBuffer)


@pytest.mark.parametrize(
    "name",
    ["gamma", "gae_lambda", "ent_coef", "vf_coef", "max_grad_norm", "weight_decay", "inner_learning_rate", "n_inner_steps"]
    + [pytest.param(name) for name in ("n_steps", "batch_size", "n_epochs", "n_learners", "target_kl")],
)
def test_schedules_are_refused_where_there_are_none(name):
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        make(**{name: lambda left: left}).learn(ROLLOUT)


@pytest.mark.parametrize(
    "name, value",
    [
        ("learning_rate", -1.0), ("learning_rate", "nonsense"), ("critic_learning_rate", -1.0), ("clip_range_vf", -1.0),
        ("clip_range", "nonsense"), ("labels_learning_rate", "nonsense"),
        pytest.param("labels_learning_rate", -1.0),
        pytest.param("clip_range", -1.0),
    ],
)  # fmt: skip
def test_rates_that_make_no_sense_are_refused(name, value):
    with pytest.raises(SB3S, match=r"(?i)learning rate|schedule|must be positive|must not be negative"):
        make(**{name: value}).learn(ROLLOUT)


def test_files_of_datasets_are_not_models(tmp_path):
    model = make()
    model.dataset.save(tmp_path / "set.safetensors")
    with pytest.raises(ValueError, match="zip"):
        PPMO.load(tmp_path / "set.safetensors")
    model.save(tmp_path / "model.zip")
    with pytest.raises((ValueError, FileNotFoundError), match="safetensors"):
        SyntheticDataset.load(tmp_path / "model.zip")
