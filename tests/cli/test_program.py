"""The command line as a user types it."""

import json
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import pytest
from helpers import simplex_dataset
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy

from sb3_distill import DistilledEnsemble, record
from sb3_distill.cli import program as cli
from sb3_distill.ensemble.files.content import hash_of


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    simplex_dataset(2, 10.0).save("set.safetensors")
    return "set.safetensors"


def test_datasets(capsys):
    assert cli.main(["datasets", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in rows} >= {f"NDCartPole{n}D-v0" for n in (1, 2, 3, 4, 5)}
    assert all(row["bytes"] < (3 * 2**20 if "NoFrameskip" in row["name"] else 200_000) for row in rows)  # images need more
    assert cli.main(["datasets"]) == 0
    assert "NDCartPole2D-v0" in capsys.readouterr().out


def test_evaluate(path, capsys):
    assert cli.main(["evaluate", path, "--learners", "5", "--episodes", "4"]) == 0
    out = capsys.readouterr().out
    assert "sampled" in out and "greedy" in out and "500.0" in out and "IQM" in out
    assert cli.main(["evaluate", path, "--learners", "5", "--episodes", "4", "--deterministic", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result) == ["greedy"] and result["greedy"]["n_learners"] == 5 and result["greedy"]["mean"] > 490


def test_teach_writes_a_plain_zip(path, capsys):
    assert cli.main(["teach", path, "--algo", "ppo", "-o", "agent.zip", "--seed", "1"]) == 0
    assert "agent.zip" in capsys.readouterr().out
    assert evaluate_policy(PPO.load("agent.zip"), gym.make("NDCartPole2D-v0"), 3, warn=False)[0] == 500


@pytest.mark.parametrize("name", ["set.safetensors", "NDCartPole5D-v0"])
def test_show_draws_and_prints(path, tmp_path, capsys, name):
    assert cli.main(["show", name, "-o", "picture.png"]) == 0
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert "NDCartPole" in capsys.readouterr().out
    assert cli.main(["show", name, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (tmp_path / shown["picture"]).exists() and shown["inner_loop"]["name"] == "sgd"


def test_show_says_what_a_recording_is(path, tmp_path, capsys):
    record("random", "CartPole-v1", n_steps=200).save("play.safetensors")
    assert cli.main(["show", "play.safetensors"]) == 0
    out = capsys.readouterr().out
    assert "recorded play" in out and "CartPole-v1" in out and "random" in out and "finished" in out
    assert cli.main(["show", "play.safetensors", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["steps"], summary["env_id"], summary["sources"][0]["name"]) == (200, "CartPole-v1", "random")
    assert cli.main(["show", "play.safetensors", "-o", "picture.png"]) == 1
    assert "only datasets have a picture" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.png"))


def test_show_says_what_an_ensemble_is(path, tmp_path, capsys):
    ensemble = DistilledEnsemble.from_dataset(path, 5, seed=3, combine="logits", device="cpu").take([1, 4])
    ensemble.save("ensemble.safetensors")
    Path(path).unlink()  # the set is not needed
    assert cli.main(["show", "ensemble.safetensors"]) == 0
    out = capsys.readouterr().out
    assert "an ensemble" in out and "2 of 5 that are drawn: 1, 4" in out and "set.safetensors" in out and "logits" in out
    assert cli.main(["show", "ensemble.safetensors", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["members"], said["rule"], said["seed"], said["weights"]) == ([1, 4], "logits", 3, False)
    assert said["sha256"] == hash_of(ensemble.dataset)
    content = bytearray(Path("ensemble.safetensors").read_bytes())
    content[-1] ^= 1
    Path("ensemble.safetensors").write_bytes(content)
    assert cli.main(["show", "ensemble.safetensors"]) == 1
    assert "do not match their checksum" in capsys.readouterr().err


def test_pictures_are_named_after_the_whole_set(path, tmp_path, capsys):
    assert cli.main(["show", "NDCartPole1D-v0/wide"]) == 0
    assert cli.main(["show", "NDCartPole1D-v0", "-o", "plain"]) == 0
    assert (tmp_path / "NDCartPole1D-v0-wide.png").exists() and (tmp_path / "plain.png").exists()
    assert "picture: plain.png" in capsys.readouterr().out


def test_help_lists_the_commands():
    run = subprocess.run([sys.executable, "-m", "sb3_distill.cli", "--help"], capture_output=True, text=True, check=True)
    for command in ("datasets", "show", "evaluate", "teach", "train", "enjoy"):
        assert command in run.stdout
