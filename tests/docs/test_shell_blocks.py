"""Commands of README and documentation exist with all of their options; the cheap ones run."""

import functools
import re
import shlex
import subprocess
import sys
import tomllib

import pytest
from blocks import PAGES, ROOT, lines_of_shell

from sb3_distill.cli import program as cli
from sb3_distill.cli import zoo

COMMANDS = [(page.stem, line) for page in PAGES for line in lines_of_shell(page)]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@functools.cache
def help_of_zoo(command):
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "sb3_distill", command, "--help"], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def options_in(words):
    return [word.split("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)]


@pytest.mark.parametrize("page, line", COMMANDS, ids=[f"{page}: {line[:50]}" for page, line in COMMANDS])
def test_a_command_is_as_the_program_takes_it(page, line):
    words = shlex.split(line)
    if words[0] == "timeout":
        words = words[2:]
    program = words[0].removeprefix(".venv/bin/")
    if program == "sb3-distill" and words[1] in zoo.COMMANDS:
        pytest.importorskip("rl_zoo3")
        shown = help_of_zoo(words[1])
        assert [option for option in options_in(words[2:]) if not re.search(rf"(?<![\w-]){option}\b", shown)] == []
    elif program == "sb3-distill":
        cli._parser().parse_args(words[1:])
    elif program == "python":
        script = ROOT / words[1]
        assert script.is_file(), "the page names a script that there is not"
        sources = "".join(path.read_text() for path in [script, *(ROOT / "benchmarks" / "lib").glob("*.py")])
        assert [option for option in options_in(words[2:]) if f'"{option}"' not in sources] == []
    elif program == "pip":
        extras = [name for match in re.findall(r"\[([\w,-]+)\]", line) for name in match.split(",")]
        assert set(extras) <= set(EXTRAS)
    elif program == "make":
        assert set(words[1:]) <= TARGETS
    else:
        pytest.fail(f"no test for a line that begins with {program}")


@pytest.mark.slow
def test_the_commands_of_the_readme_run(tmp_path, monkeypatch, capsys):
    """In their order, and in one folder, since one makes what the next one takes. Episodes and steps are fewer."""
    pytest.importorskip("matplotlib")
    pytest.importorskip("imageio")
    pytest.importorskip("pygame")
    fewer = {
        "evaluate": ["--learners", "2", "--episodes", "2"], "watch": ["--max-steps", "5"], "distil": ["--updates", "3"],
        "search": ["--trials", "2"],
    }  # fmt: skip
    monkeypatch.chdir(tmp_path)
    lines = [shlex.split(line) for page, line in COMMANDS if page == "README" and line.startswith("sb3-distill")]
    ours = [words[1:] for words in lines if words[1] not in zoo.COMMANDS]
    assert [words[0] for words in ours] == [
        "datasets",
        "show",
        "watch",
        "evaluate",
        "teach",
        "record",
        "distil",
        "clone",
        "search",
    ]
    for words in ours:
        if words[0] == "clone":
            words[words.index("--timesteps") + 1] = "1024"
        assert cli.main([*words, *fewer.get(words[0], [])]) == 0, capsys.readouterr().err
    made = {path.name for path in tmp_path.iterdir()}
    sets = {"play.safetensors", "set.safetensors", "clone.safetensors"}
    assert made == {"NDCartPole2D-v0.png", "NDCartPole2D-v0.gif", "agent.zip", "search"} | sets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_extras_that_a_page_names_exist(page):
    named = re.findall(r"\bextras?: ([\w, -]+?)[).,;]", page.read_text())
    assert {name.strip() for names in named for name in names.split(",")} <= {*EXTRAS, ""}
