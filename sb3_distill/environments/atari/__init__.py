"""
Atari games in two forms: tasks on the 128 bytes of the console's memory (``ram_env``), and pictures by ALE's native vector
environment behind SB3's interface (``vec_env``). Importing this package registers ids such as ``"PongRAM-v0"``.
"""

from gymnasium.envs.registration import register, registry

from sb3_distill.environments.atari.games import GAMES, rom_of

for _game in GAMES:
    if (_id := f"{_game}RAM-v0") not in registry:
        register(id=_id, entry_point="sb3_distill.environments.atari.ram_env:AtariRAMEnv", kwargs={"game": rom_of(_game)})
