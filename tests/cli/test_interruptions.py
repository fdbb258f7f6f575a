"""Signals to a command, and texts that a terminal would obey."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from benchmarks.lib.hostile import packed, unpacked
from sb3_distill.cli import program as cli
from sb3_distill.cli.printing import shown, visible
from sb3_distill.dataset.file import find
from sb3_distill.rollback.checkpoints import checkpoints_in

ROLLBACK = ["rollback", "--env", "NDCartPole1D-v0", "--levels", "1", "--timesteps", "100000000", "--n-envs", "8"]
ROLLBACK += ["--json", "--minutes", "0", "-params", "n_steps:32"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_ladder_that_is_interrupted_leaves_a_checkpoint_and_says_so(tmp_path, number):
    command = [
        sys.executable,
        "-m",
        "sb3_distill.cli",
        *ROLLBACK,
        "-o",
        str(tmp_path),
        "--minutes",
        "0",
        "-params",
        "n_steps:32",
    ]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        deadline = time.monotonic() + 60
        while not checkpoints_in(tmp_path / "l1") and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(process.pid, number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert errors.splitlines()[-1] == (
        f"interrupted: what was learned is in {tmp_path}, and the same command goes on from there"
    )
    assert "Traceback" not in errors
    assert checkpoints_in(tmp_path / "l1")
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("module", ["sb3_distill", "sb3_distill.cli"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_interrupted_while_it_is_imported_says_so(module, number, tmp_path):
    (tmp_path / "torch.py").write_text("import time\nprint('torch', flush=True)\ntime.sleep(60)\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    command = [sys.executable, "-m", module, "datasets"]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with subprocess.Popen(command, env=environment, start_new_session=True, **pipes) as process:
        assert process.stdout.readline() == "torch\n"
        process.send_signal(number)
        assert process.communicate(timeout=30) == ("", "interrupted: nothing was written\n")
    assert process.returncode == 128 + number


def test_an_interruption_without_a_text_says_that_nothing_was_written(monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupted)
    assert cli.main(["datasets"]) == 130
    assert capsys.readouterr().err == "interrupted: nothing more was written\n"


def test_an_interruption_that_rl_zoo_takes_is_told(monkeypatch, capsys):
    def trained(_):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt:
            pass

    monkeypatch.setattr(cli, "_run", trained)
    assert cli.main(["train"]) == 130
    assert capsys.readouterr().err == "interrupted: the agent was saved\n"


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert cli.main(["datasets", "--json"]) == 0
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


HOSTILE = {"an escape": "ppo\x1b]0;title\x07", "markup": "[/red]", "a link": "[link=file:///etc/passwd]ppo[/link]"}


@pytest.mark.parametrize("attack", HOSTILE)
def test_texts_of_a_file_are_shown_and_not_obeyed(tmp_path, monkeypatch, capsys, attack):
    monkeypatch.chdir(tmp_path)
    tensors, info = unpacked(find("CartPole-v1").read_bytes())
    info |= {"loss": HOSTILE[attack], "env_id": HOSTILE[attack]}
    (tmp_path / "x.safetensors").write_bytes(packed(tensors, json.dumps(info)))
    assert cli.main(["show", "x.safetensors"]) == 0
    assert cli.main(["evaluate", "x.safetensors", "--learners", "1", "--episodes", "1"]) == 1
    out, err = capsys.readouterr()
    assert "\x1b]" not in out + err
    assert visible(HOSTILE[attack]) in out.replace("\n", "")


def test_signs_that_turn_a_line_are_written_out():
    assert visible("a\u202eb\x9bc\td") == r"a\u202eb\x9bc\td"
    assert shown("[bold]\n\x1b").plain == "[bold]\n\\x1b"


def test_packages_of_ones_own_are_imported(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tensors, info = unpacked(find("CartPole-v1").read_bytes())
    info["env_id"] = "OfMyPackage-v0"
    (tmp_path / "x.safetensors").write_bytes(packed(tensors, json.dumps(info)))
    (tmp_path / "my_package_of_envs.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('OfMyPackage-v0', 'gymnasium.envs.classic_control:CartPoleEnv', max_episode_steps=9)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    arguments = ["evaluate", "x.safetensors", "--learners", "1", "--episodes", "1", "--json"]
    assert cli.main(arguments) == 1
    assert "--gym-packages" in capsys.readouterr().err
    assert cli.main([*arguments, "--gym-packages", "my_package_of_envs"]) == 0
    assert cli.main([*arguments, "--gym-packages", "no_package_of_envs"]) == 1
    assert "the module no_package_of_envs cannot be imported" in capsys.readouterr().err
