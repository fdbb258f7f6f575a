"""The command line in a shell: version, help, misspelt words, pipes and completion."""

import json
import os
import shutil
import subprocess
import sys

import pytest

import sb3_distill
from sb3_distill.cli import program as cli

COMMANDS = ("datasets", "show", "evaluate", "teach", "watch", "rollback", "clone", "train", "enjoy", "completion")


def run(*arguments, **kwargs):
    return subprocess.run([sys.executable, "-m", "sb3_distill", *arguments], capture_output=True, text=True, **kwargs)


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"sb3-distill {sb3_distill.__version__}\n"
    assert sb3_distill.__version__[0].isdigit()


def test_a_bare_call_prints_the_help():
    result = run()
    assert result.returncode == 0 and result.stderr == ""
    assert all(command in result.stdout for command in COMMANDS)


@pytest.mark.parametrize(
    "arguments, hint",
    [
        (["evaluat", "x"], "did you mean 'evaluate'?"),
        (["evaluate", "x", "--learnrs", "3"], "did you mean '--learners'?"),
        (["show", "x", "--ouput=y.png"], "did you mean '--output'?"),
        (["teach", "x", "--algo", "ppoo"], "did you mean 'ppo'?"),
        (["--verson"], "did you mean '--version'?"),
        (["completion", "bahs"], "did you mean 'bash'?"),
    ],
)
def test_a_misspelt_word_is_answered_by_the_nearest_one(arguments, hint, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(arguments)
    assert exit_.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == "" and hint in captured.err


def test_a_word_like_no_other_gets_no_hint(capsys):
    with pytest.raises(SystemExit):
        cli.main(["xyzzy"])
    assert "did you mean" not in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["datasets"], ["datasets", "--json"], ["completion", "bash"]])
def test_a_reader_that_leaves_is_no_error(arguments):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as output:
        command = [sys.executable, "-m", "sb3_distill", *arguments]
        result = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True)
    assert result.stderr == ""
    assert result.returncode == 141


def test_another_broken_pipe_is_an_error(monkeypatch, capsys):
    def run_with_a_dead_worker(arguments):
        raise BrokenPipeError("the pipe to a worker")

    monkeypatch.setattr(cli, "_run", run_with_a_dead_worker)
    with capsys.disabled():
        assert cli.main(["datasets"]) == 1


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    "words, expected",
    [
        (["eval"], "evaluate"),
        (["evaluate", "--dev"], "--device"),
        (["show", "NDCartPole10"], "NDCartPole10D-v0"),
        (["teach", "x", "--al"], "--algo"),
    ],
)
def test_bash_completes(words, expected, tmp_path, capsys):
    assert cli.main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    typed = f"COMP_WORDS=(sb3-distill {' '.join(words)}); COMP_CWORD={len(words)}"
    line = f'. ./script; {typed}; _sb3_distill; echo "${{COMPREPLY[@]}}"'
    result = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert result.stdout.split() == [expected]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_a_script_that_knows_all_commands(shell, capsys):
    assert cli.main(["completion", shell, "--json"]) == 0
    script = json.loads(capsys.readouterr().out)["script"]
    assert all(command in script for command in COMMANDS) and "--learners" in script
