"""The games of the Arcade Learning Environment by name."""

import re
import warnings
from pathlib import Path
from typing import Any

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


def rom_path(rom: str) -> Path:
    """
    :param rom: name of a ROM
    :return: where it is
    :raises ImportError: without ale-py
    :raises FileNotFoundError: if ale-py does not bring it
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


def game_buttons(info: Any) -> list[str] | None:
    """
    :param info: a ``DatasetInfo``
    :return: the names of its actions, e.g. ``["NOOP", "FIRE", "UP"]``; ``None`` for another task, or without ale-py
    """
    name = re.match(r"(?:ALE/)?([A-Za-z]+?)(?:NoFrameskip|RAM)?-v\d+$", info.env_id or "")
    if name is None or name[1] not in GAMES:
        return None
    try:
        from ale_py import ALEInterface, LoggerMode

        path = rom_path(rom_of(name[1]))
    except (ImportError, FileNotFoundError):
        return None
    ALEInterface.setLoggerMode(LoggerMode.Error)
    ale = ALEInterface()
    ale.loadROM(path)
    buttons = ale.getMinimalActionSet()
    if len(buttons) != getattr(info.action_space, "n", None):
        buttons = ale.getLegalActionSet()
    return [button.name for button in buttons] if len(buttons) == getattr(info.action_space, "n", None) else None
