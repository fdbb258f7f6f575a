"""Atari: ALE's vector environment behind SB3's interface, and games seen through their memory."""

import copy
import sys
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from stable_baselines3 import DQN
from stable_baselines3.common.atari_wrappers import MaxAndSkipEnv, WarpFrame
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnvWrapper, VecNormalize

from sb3_distill import PPMO, DatasetError, DistilledPolicy, SyntheticDataset, evaluate_learners, make_vec_env
from sb3_distill.cli.program import main
from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.environments.atari.games import GAMES, game_buttons, rom_of
from sb3_distill.environments.atari.vec_env import AtariVecEnv, is_atari
from sb3_distill.environments.origin import env_origin, recorded_wrappers
from sb3_distill.environments.plugins import import_plugin, is_cheap
from sb3_distill.environments.worker_vec_env import WorkerVecEnv
from sb3_distill.evaluation.protocol import _make_true_env

ale_py = pytest.importorskip("ale_py")
CENTIPEDE = "CentipedeNoFrameskip-v4"


def atari(n_envs=2, env_id=CENTIPEDE, **options):
    return make_vec_env(env_id, n_envs, seed=0, vec_env_cls=AtariVecEnv, vec_env_kwargs=options)


def test_frames_are_those_of_sb3s_wrappers():
    env = atari(1, noop_max=0)
    single = WarpFrame(MaxAndSkipEnv(gym.make(CENTIPEDE), 4))
    frames, (first, _) = env.reset(), single.reset(seed=0)
    assert frames.shape == (1, 4, 84, 84)
    assert frames.dtype == np.uint8
    assert np.abs(frames[0, -1].astype(int) - first[..., 0]).mean() < 2
    for action in [1, 1, 3, 3, 4, 11, 12, 0] * 5:
        frames, reward, _, _ = env.step(np.array([action]))
        frame, expected, _, _, _ = single.step(action)
        assert np.abs(frames[0, -1].astype(int) - frame[..., 0]).mean() < 2
        assert reward[0] == expected


@pytest.mark.slow
def test_points_are_not_clipped_and_lives_do_not_end_episodes():
    env, clipped = atari(8), atari(8, clip_reward=True, terminal_on_life_loss=True)
    points, ended, rng = [], [0, 0], np.random.default_rng(0)
    env.reset(), clipped.reset()
    episodes = []
    for _ in range(700):
        actions = rng.integers(18, size=8)
        _, rewards, dones, infos = env.step(actions)
        points.append(rewards.max())
        ended[0] += dones.sum()
        episodes += [info["episode"]["r"] for info in infos if "episode" in info]
        _, rewards, dones, _ = clipped.step(actions)
        assert set(rewards) <= {0.0, 1.0}
        ended[1] += dones.sum()
    assert max(points) >= 100
    assert ended[1] > 2 * ended[0] > 0
    assert len(episodes) == ended[0]
    assert max(episodes) > 100
    assert "terminal_observation" not in infos[0] or dones[0]


def test_seeds_decide():
    runs = []
    for seed in (0, 0, 1):
        env = make_vec_env(CENTIPEDE, 2, seed=seed, vec_env_cls=AtariVecEnv)
        env.reset()
        runs.append([env.step(np.array([i % 18, 1]))[0] for i in range(30)])
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])
    env.seed(2**40)
    env.reset()


def test_what_it_is_made_of_travels(tmp_path):
    env = VecNormalize(atari(4, noop_max=10), norm_obs=False)
    kwargs = dict(noop_max=10, frame_skip=4, screen_size=84, n_stack=4, terminal_on_life_loss=False, clip_reward=False)
    kwargs |= dict(fire_reset=False, action_repeat_probability=0.0)
    assert recorded_wrappers(env) == [{"name": "AtariVecEnv", "entry_point": "atari", "kwargs": kwargs}]
    assert env_origin(env) == (CENTIPEDE, {})
    model = PPMO("CnnPolicy", env, n_steps=8, batch_size=16, n_epochs=1, encoder_layers=4, seed=0).learn(32)
    model.dataset.save(tmp_path / "set.safetensors")
    again = make_vec_env(tmp_path / "set.safetensors", 3)
    assert isinstance(again.unwrapped, AtariVecEnv)
    assert again.num_envs == 3
    assert again.unwrapped.options == kwargs
    policy = DistilledPolicy.from_dataset(tmp_path / "set.safetensors")
    assert policy.predict(again.reset())[0].shape == (3,)
    # As SB3's wrappers stack them, channels last, frames are taken too; others are refused with what is missing.
    assert policy.predict(again.reset().transpose(0, 2, 3, 1))[0].shape == (3,)
    with pytest.raises(ValueError, match=r"shape \(3, 210, 160, 3\).*must wear AtariVecEnv.*make_vec_env\(dataset, n_envs\)"):
        policy.predict(np.zeros((3, 210, 160, 3), dtype=np.uint8))
    with pytest.raises(DatasetError, match="the environment must wear AtariVecEnv"):
        evaluate_learners(tmp_path / "set.safetensors", 1, 1, env=lambda n: atari(n, n_stack=2))


def test_what_it_does_not_take(monkeypatch):
    with pytest.raises(ValueError, match="'CartPole-v1' is not an Atari game of ALE"):
        make_vec_env("CartPole-v1", 2, vec_env_cls=AtariVecEnv)
    with pytest.raises(ValueError, match="does not take difficulty"):
        make_vec_env(CENTIPEDE, 2, vec_env_cls=AtariVecEnv, env_kwargs=dict(difficulty=1))
    with pytest.raises(ValueError, match="take no wrapper and no monitor of their own"):
        make_vec_env(CENTIPEDE, 2, vec_env_cls=AtariVecEnv, wrapper_class=lambda env: env)
    assert is_atari("ALE/Pong-v5")
    assert not is_atari("CartPole-v1")
    assert not is_atari("PongRAM-v0")
    monkeypatch.setitem(sys.modules, "ale_py", None)
    for env_id in (CENTIPEDE, "ALE/Pong-v5", "CentipedeRAM-v0"):
        with pytest.raises(ImportError, match=r'pip install "sb3-distill\[atari\]"'):
            import_plugin(env_id)
    monkeypatch.setitem(sys.modules, "ale_py.vector_env", None)
    with pytest.raises(ImportError, match=r'AtariVecEnv needs ALE: pip install "sb3-distill\[atari\]"'):
        AtariVecEnv(CENTIPEDE, 1)


def test_actions_of_another_game():
    env = atari(2, "PongNoFrameskip-v4")
    env.reset()
    with pytest.raises(ValueError, match="the game has actions 0 to 5, got 0 to 11"):
        env.step(np.array([11, 0]))
    assert env.step(np.array([5, 0]))[0].shape == (2, 4, 84, 84)


def test_ids_that_name_their_module():
    assert is_atari("ale_py:ALE/Pong-v5")
    assert AtariVecEnv("ale_py:ALE/Pong-v5", 1).observation_space.shape == (4, 84, 84)
    env = make_vec_env("ale_py:ALE/Pong-v5", 2, seed=3_000_000_000)
    assert env.observation_space.shape == (210, 160, 3)
    bare = gym.make_vec("ALE/Pong-v5", 2, vectorization_mode="vector_entry_point", autoreset_mode=AutoresetMode.SAME_STEP)
    with pytest.raises(ValueError, match=r"another task than the id that it bears: use make_vec_env\(env_id"):
        PPMO("CnnPolicy", bare)


def test_frames_of_another_scale():
    class Scaled(VecEnvWrapper):
        def __init__(self, venv):
            super().__init__(venv, gym.spaces.Box(0, 1, (4, 84, 84), np.float32))

        def reset(self):
            return self.venv.reset() / np.float32(255)

        def step_wait(self):
            observations, *rest = self.venv.step_wait()
            return observations / np.float32(255), *rest

    with pytest.raises(
        DatasetError, match=r"for observation space Box\(4, 84, 84\) of bytes, the environment has Box\(4, 84, 84\);"
    ):
        evaluate_learners("PongNoFrameskip-v4/l3", 1, 1, env=lambda n: Scaled(atari(n, "PongNoFrameskip-v4")))


def test_options_out_of_range():
    with pytest.raises(ValueError, match="`n_envs` must be at least 1, got 0"):
        AtariVecEnv(CENTIPEDE, 0)
    for name, value in (("n_stack", 0), ("screen_size", 0), ("noop_max", -1), ("frame_skip", 0)):
        with pytest.raises(ValueError, match=f"`{name}` must be at least"):
            atari(1, **{name: value})
    with pytest.raises(ValueError, match="`action_repeat_probability` must be from 0 to 1"):
        atari(1, action_repeat_probability=2.0)
    for kwargs, message in ((dict(frameskip=2), "use `vec_env_kwargs` with frame_skip"), (dict(obs_type="ram"), "leave out")):
        with pytest.raises(ValueError, match=f"does not take `{next(iter(kwargs))}` of the environment: {message}"):
            make_vec_env(CENTIPEDE, 1, vec_env_cls=AtariVecEnv, env_kwargs=kwargs)


def test_scores_are_true_whatever_was_learned_from():
    env = atari(2, "PongNoFrameskip-v4", clip_reward=True, terminal_on_life_loss=True)
    dataset = PPMO("CnnPolicy", env, n_steps=8, encoder_layers=5, seed=0).dataset
    true = _make_true_env(dataset, 2).unwrapped.options
    assert not true["clip_reward"]
    assert not true["terminal_on_life_loss"]
    assert make_vec_env(dataset, 2).unwrapped.options["clip_reward"]
    assert is_cheap("CartPole-v1")
    assert not is_cheap("PongRAM-v0")
    assert not is_cheap("PongNoFrameskip-v4")


def test_sticky_actions_are_those_of_the_id():
    assert atari(1, "ALE/Pong-v5").unwrapped.options["action_repeat_probability"] == 0.25
    assert atari(1, "ALE/Pong-v5", action_repeat_probability=0.0).unwrapped.options["action_repeat_probability"] == 0.0


@pytest.mark.parametrize("game", ["Centipede", "SpaceInvaders", "MsPacman", "Pong"])
def test_memory_tasks(game):
    env = gym.make(f"{game}RAM-v0")
    check_env(env.unwrapped, skip_render_check=True)
    assert env.observation_space == gym.spaces.Box(0, 255, (128,), np.float32)  # normalised ones fit into SB3's buffers
    starts = {env.reset(seed=seed)[0].tobytes() for seed in range(6)}
    assert len(starts) > 2
    assert env.reset(seed=3)[0].tobytes() in starts
    twin = copy.deepcopy(env.unwrapped)
    assert twin.noop_max == 30
    assert twin.observation_space == env.observation_space
    # Four frames a step, as with pictures.
    before = env.unwrapped.ale.getEpisodeFrameNumber()
    env.step(0)
    assert env.unwrapped.ale.getEpisodeFrameNumber() == before + 4


def test_memory_tasks_are_learned_in_processes(tmp_path):
    env = VecNormalize(make_vec_env("PongRAM-v0", 4, seed=0))
    assert isinstance(env.unwrapped, WorkerVecEnv) or env.num_envs == 1 or isinstance(env.unwrapped, DummyVecEnv)
    model = PPMO("MlpPolicy", env, n_steps=16, seed=0).learn(128)
    model.dataset.save(tmp_path / "set.safetensors")
    assert SyntheticDataset.load(tmp_path / "set.safetensors").info.env_id == "PongRAM-v0"
    with pytest.raises(ValueError, match="`noop_max` must not be negative"):
        gym.make("PongRAM-v0", noop_max=-1)


def test_missing_games(monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"ale-py has no ROM of 'MsPacman' \(names are like 'ms_pacman'\)"):
        gym.make("PongRAM-v0", game="MsPacman")
    monkeypatch.setattr(ale_py.roms, "get_rom_path", lambda name: None)
    several = partial(make_vec_env, "PongRAM-v0", 2)
    for make in (lambda: gym.make("PongRAM-v0"), atari, *[several] * 5):
        with pytest.raises(FileNotFoundError, match=r'pip install --upgrade "sb3-distill\[atari\]"'):
            make()


def test_names_of_games_and_buttons():
    assert rom_of("MsPacman") == "ms_pacman"
    assert {rom_of(game) for game in GAMES} <= set(ale_py.roms.get_all_rom_ids())
    assert all(f"{game}RAM-v0" in gym.registry for game in GAMES)

    def buttons(env_id, n):
        return game_buttons(DatasetInfo(gym.spaces.Box(0, 1, (1,)), gym.spaces.Discrete(n), env_id))

    assert buttons("PongRAM-v0", 6) == buttons("ALE/Pong-v5", 6)
    assert buttons("PongNoFrameskip-v4", 6) == ["NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE"]
    assert len(buttons("ALE/Pong-v5", 18)) == 18
    assert buttons("CartPole-v1", 2) is None
    assert buttons(None, 2) is None
    assert buttons("PongRAM-v0", 7) is None


def test_the_shipped_set_of_images_wants_its_frames():
    dataset = SyntheticDataset.load("CentipedeNoFrameskip-v4")
    assert dataset.encoder_layers == 0
    assert dataset.info.scores["sampled"]["mean"] > 7_500
    for options in (dict(screen_size=80), dict(n_stack=3)):
        with pytest.raises(
            DatasetError, match=r"the dataset was made for observation space .*4, 84, 84.* the environment has"
        ):
            evaluate_learners(dataset, 1, 1, env=lambda n, options=options: atari(n, **options))


def test_an_off_policy_agent_of_images(tmp_path, capsys):
    path = str(tmp_path / "agent.zip")
    assert main(["teach", "PongNoFrameskip-v4/l3", "--algo", "dqn", "-o", path]) == 0
    assert "its replay buffer is for 10,000 transitions" in capsys.readouterr().out
    assert DQN.load(path, device="cpu", buffer_size=10).observation_space.shape == (4, 84, 84)
