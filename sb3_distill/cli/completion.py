"""``sb3-distill completion``: a script with which a shell completes commands, options and names of shipped sets."""

import argparse
from collections.abc import Callable, Mapping

from sb3_distill.cli.parsing import AddCommand
from sb3_distill.dataset.file import shipped_sets
from sb3_distill.typing import Json

BASH = """\
_sb3_distill() {{
    local words="" word="${{COMP_WORDS[COMP_CWORD]}}"
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{commands} --help --version"
    else
        case "${{COMP_WORDS[1]}}" in
{cases}
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _sb3_distill sb3-distill"""
ZSH = "autoload -Uz compinit bashcompinit && compinit && bashcompinit\n"
USE = {
    "bash": 'eval "$(sb3-distill completion bash)"      # in ~/.bashrc',
    "zsh": 'eval "$(sb3-distill completion zsh)"       # in ~/.zshrc',
    "fish": "sb3-distill completion fish | source      # in ~/.config/fish/config.fish",
}
"""Lines that switch completion on, by shell."""
Commands = Mapping[str, argparse.ArgumentParser]


def add_completion(add: AddCommand, commands: Commands) -> None:
    """
    :param add: adds a command
    :param commands: parsers of all commands by name; the list may still grow
    """

    def run(options: argparse.Namespace) -> Json:
        script = SCRIPTS[options.shell](commands)
        if not options.json:
            print(script)
        return {"shell": options.shell, "script": script}

    command = add("completion", run, "Print a script that completes commands and options in a shell.")
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = "\n".join(["to switch completion on:", *(f"  {line}" for line in USE.values())])
    command.add_argument("shell", choices=list(USE), help="the shell")


def _words(command: argparse.ArgumentParser) -> list[str]:
    """Options of a command, and values of its positional arguments where they are known."""
    words = [name for name in command._option_string_actions if name.startswith("--") or len(name) > 2]
    for action in command._get_positional_actions():
        words += [str(choice) for choice in action.choices or ()]
        words += shipped_sets() if action.dest == "dataset" else []
    return words


def _bash(commands: Commands) -> str:
    cases = [f'            {name}) words="{" ".join(_words(command))}" ;;' for name, command in commands.items()]
    return BASH.format(commands=" ".join(commands), cases="\n".join(cases))


def _fish(commands: Commands) -> str:
    lines = [
        "complete -c sb3-distill -n __fish_use_subcommand -l help",
        "complete -c sb3-distill -n __fish_use_subcommand -l version",
    ]
    for name, command in commands.items():
        lines.append(f"complete -c sb3-distill -n __fish_use_subcommand -a {name}")
        words = " ".join(_words(command))
        lines.append(f"complete -c sb3-distill -n '__fish_seen_subcommand_from {name}' -a '{words}'")
    return "\n".join(lines)


SCRIPTS: dict[str, Callable[[Commands], str]] = {
    "bash": _bash,
    "zsh": lambda commands: ZSH + _bash(commands),
    "fish": _fish,
}
"""Functions that write the script, by shell."""
