"""Callbacks and loggers find what they find in SB3's PPO."""

import copy

import numpy as np
import pytest
from contract import ACTIONS, BOX, DISCRETE, N_ENVS, ROLLOUT, SETTINGS, assert_acts, make, spaces_env
from helpers import SMALL, small_env
from stable_baselines3 import PPO
from stable_baselines3.common import callbacks
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize

from sb3_distill import PPMO


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
    assert results["results"].shape == (n_evaluations, 4)
    assert (results["results"] == 8).all()
    np.testing.assert_array_equal(eval_env.obs_rms.mean, env.obs_rms.mean)
    assert_acts(PPMO.load(tmp_path / "best_model"), eval_env.reset(), DISCRETE)


def test_checkpoints_in_the_middle_of_a_rollout_continue(tmp_path):
    checkpoints = callbacks.CheckpointCallback(6, tmp_path, save_vecnormalize=True)
    make(VecNormalize(spaces_env())).learn(2 * ROLLOUT, callback=checkpoints)
    steps = [6 * N_ENVS, 12 * N_ENVS]
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(
        [f"rl_model_{step}_steps.zip" for step in steps] + [f"rl_model_vecnormalize_{step}_steps.pkl" for step in steps]
    )
    env = VecNormalize.load(tmp_path / f"rl_model_vecnormalize_{steps[1]}_steps.pkl", spaces_env())
    model = PPMO.load(tmp_path / f"rl_model_{steps[1]}_steps", env=env)
    assert model.num_timesteps == steps[1]
    assert model.get_vec_normalize_env() is env
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
        assert self.model.num_timesteps == self.num_timesteps
        assert self.training_env is self.model.get_env()
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
            assert our_step[name].shape == their_step[name].shape
            assert our_step[name].dtype == their_step[name].dtype
        np.testing.assert_array_equal(our_step["new_obs"], their_step["new_obs"])  # one seed, one environment
        np.testing.assert_array_equal(our_step["dones"], their_step["dones"])
        assert [set(info) for info in our_step["infos"]] == [set(info) for info in their_step["infos"]]


def test_a_run_stopped_by_a_callback_continues():
    recorder = Recorder(n_steps=3)
    model = make().learn(10 * ROLLOUT, callback=recorder)
    assert recorder.events[-1] == "done"
    assert model.num_timesteps == 3 * N_ENVS
    assert model._n_updates == 0
    model.learn(ROLLOUT, reset_num_timesteps=False)
    assert model.num_timesteps == 3 * N_ENVS + ROLLOUT
    assert model._n_updates == SETTINGS["n_epochs"]


def test_callbacks_see_the_step():
    seen = []

    class Spy(BaseCallback):
        def _on_step(self) -> bool:
            seen.append({name: self.locals[name] for name in ("dones", "infos", "rewards", "new_obs", "actions")})
            return len(seen) < 10

    model = PPMO("MlpPolicy", small_env(), **SMALL).learn(10_000, callback=Spy())
    assert len(seen) == 10
    assert model.num_timesteps == 80


def test_the_log_has_what_the_readme_names(tmp_path, log_to_csv):
    model = PPMO("MlpPolicy", small_env(), **SMALL)
    log_to_csv(model, tmp_path)
    model.learn(1024)
    header = (tmp_path / "progress.csv").read_text().splitlines()[0].split(",")
    for key in (
        "rollout/ep_rew_mean", "train/inner_learning_rate", "train/dataset_grad_norm", "train/approx_kl", "time/fps",
        "train/clip_fraction", "train/entropy_loss", "train/explained_variance", "train/loss", "train/value_loss",
    ):  # fmt: skip
        assert key in header


def test_progress_bar_and_tensorboard(tmp_path):
    PPMO("MlpPolicy", small_env(), tensorboard_log=str(tmp_path), **SMALL).learn(512, progress_bar=True)
    assert list(tmp_path.glob("PPMO_1/events*"))
