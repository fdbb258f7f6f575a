"""The games of the Arcade Learning Environment (ALE): names, ROMs and buttons."""

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sb3_distill.dataset.info import DatasetInfo

GAMES = (
    "Alien", "Amidar", "Assault", "Asterix", "Asteroids", "Atlantis", "BankHeist", "BattleZone", "BeamRider", "Berzerk",
    "Bowling", "Boxing", "Breakout", "Centipede", "ChopperCommand", "CrazyClimber", "Defender", "DemonAttack", "DoubleDunk",
    "Enduro", "FishingDerby", "Freeway", "Frostbite", "Gopher", "Gravitar", "Hero", "IceHockey", "Jamesbond", "Kangaroo",
    "Krull", "KungFuMaster", "MontezumaRevenge", "MsPacman", "NameThisGame", "Phoenix", "Pitfall", "Pong", "PrivateEye",
    "Qbert", "Riverraid", "RoadRunner", "Robotank", "Seaquest", "Skiing", "Solaris", "SpaceInvaders", "StarGunner",
    "Surround", "Tennis", "TimePilot", "Tutankham", "UpNDown", "Venture", "VideoPinball", "WizardOfWor", "YarsRevenge",
    "Zaxxon",
)  # fmt: skip
"""The 57 games on which agents are usually compared."""


def rom_of(game: str) -> str:
    """The name of a game's ROM: ``"MsPacman"`` to ``"ms_pacman"``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", game).lower()


def silence_ale() -> None:
    """
    Let ALE print errors only: by default, each process prints a banner. The level is a global of the process, so whoever makes
    emulators calls this first, in workers too.

    :raises ImportError: without ale-py
    """
    from ale_py import ALEInterface, LoggerMode

    ALEInterface.setLoggerMode(LoggerMode.Error)


def rom_path(rom: str) -> Path:
    """
    :param rom: name of a ROM, e.g. ``"ms_pacman"``
    :return: the path of its file
    :raises ImportError: without ale-py
    :raises FileNotFoundError: if ale-py has no such ROM
    """
    from ale_py import roms

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = roms.get_rom_path(rom)
    if path is None:
        raise FileNotFoundError(
            f"ale-py has no ROM of {rom!r} (names are like 'ms_pacman'); its own are: {', '.join(roms.get_all_rom_ids())}. "
            'An old one brings none: pip install --upgrade "sb3-distill[atari]"'
        )
    return path


def game_buttons(info: "DatasetInfo") -> list[str] | None:
    """
    :param info: description of a dataset
    :return: names of its actions, e.g. ``["NOOP", "FIRE", "UP"]``; ``None`` for another task, or without ale-py
    """
    name = re.match(r"(?:ALE/)?([A-Za-z]+?)(?:NoFrameskip|RAM)?-v\d+$", info.env_id or "")
    if name is None or name[1] not in GAMES:
        return None
    try:
        from ale_py import ALEInterface

        path = rom_path(rom_of(name[1]))
    except (ImportError, FileNotFoundError):
        return None
    silence_ale()
    ale = ALEInterface()
    ale.loadROM(path)
    n_actions = getattr(info.action_space, "n", None)
    for buttons in (ale.getMinimalActionSet(), ale.getLegalActionSet()):
        if len(buttons) == n_actions:
            return [button.name for button in buttons]
    return None
