"""The games of the Arcade Learning Environment by name."""

import re
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


def game_buttons(info: Any) -> list[str] | None:
    """
    :param info: a ``DatasetInfo``
    :return: the names of its actions, e.g. ``["NOOP", "FIRE", "UP"]``; ``None`` for another task, or without ale-py
    """
    name = re.match(r"(?:ALE/)?([A-Za-z]+?)(?:NoFrameskip|RAM)?-v\d+$", info.env_id or "")
    if name is None or name[1] not in GAMES:
        return None
    try:
        from ale_py import ALEInterface, LoggerMode, roms
    except ImportError:
        return None
    ALEInterface.setLoggerMode(LoggerMode.Error)
    ale = ALEInterface()
    path = roms.get_rom_path(rom_of(name[1]))
    assert path is not None
    ale.loadROM(path)
    buttons = ale.getMinimalActionSet()
    if len(buttons) != getattr(info.action_space, "n", None):
        buttons = ale.getLegalActionSet()
    return [button.name for button in buttons] if len(buttons) == getattr(info.action_space, "n", None) else None
