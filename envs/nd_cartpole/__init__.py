"""N-dimensional cart-pole for Gymnasium; importing the package registers the ids."""

from gymnasium.envs.registration import register, registry

from nd_cartpole.env import NDCartPoleEnv
from nd_cartpole.vector_env import NDCartPoleVectorEnv

__all__ = ["NDCartPoleEnv", "NDCartPoleVectorEnv"]

# rl-zoo configurations name an id and no arguments, hence the fixed ids.
_IDS = {"NDCartPole-v0": 2} | {f"NDCartPole{n_dims}D-v0": n_dims for n_dims in (1, 2, 3, 4, 5, 10)}

for _id, _n_dims in _IDS.items():
    if _id not in registry:
        register(
            id=_id,
            entry_point="nd_cartpole.env:NDCartPoleEnv",
            vector_entry_point="nd_cartpole.vector_env:NDCartPoleVectorEnv",
            max_episode_steps=500,
            reward_threshold=475.0,
            kwargs={"n_dims": _n_dims},
        )
