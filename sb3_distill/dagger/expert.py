"""An agent of Stable-Baselines3 from its zip, to be imitated."""

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import stable_baselines3
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_distill.errors import ArgumentError, SB3DistillError
from sb3_distill.spaces.checks import SpacesOnly, difference, same_actions, same_kind

ALGORITHMS = ("PPO", "A2C", "DQN", "SAC", "TD3", "DDPG")
CONTRIB = ("TQC", "CrossQ", "TRPO", "ARS", "QRDQN")


class Expert:
    """
    The greedy actions of an agent.

    :param policy: of the agent
    :param normalization: the ``VecNormalize`` that its observations pass through, if any
    """

    def __init__(self, policy: BasePolicy, normalization: VecNormalize | None = None) -> None:
        self.policy = policy
        self.normalization = normalization

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], normalization: str | os.PathLike[str] | None = None, algo: str | None = None
    ) -> "Expert":
        """
        :param path: a zip that an SB3 (or sb3-contrib) algorithm saved
        :param normalization: the ``vecnormalize.pkl`` that was saved with it. It is a pickle: load only what you trust
        :param algo: name of the algorithm; ``None`` to see it from the policy
        :return: the agent's policy, on the CPU
        :raises FileNotFoundError: if there is no such file
        :raises ValueError: if the file is not an agent, or of an algorithm that is not known
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"there is no agent {path}")
        if not zipfile.is_zipfile(path):
            raise ArgumentError(f"{path} is not a zip that an SB3 algorithm saved")
        try:
            algorithm = _algorithm_of(path, algo)
            # What an agent remembers is of no use here.
            small: Any = {"buffer_size": 1, "replay_buffer_class": None} if issubclass(algorithm, OffPolicyAlgorithm) else {}
            model: Any = algorithm.load(path, device="cpu", **small)
        except (SB3DistillError, OSError):
            raise
        except Exception as error:  # whatever a damaged pickle leads to, or the zip of another algorithm
            advice = "is it damaged?" if algo is None else f"was it saved by {algo}?"
            raise ArgumentError(f"{path} cannot be loaded, {advice} ({type(error).__name__}: {error})") from error
        model.policy.set_training_mode(False)
        venv = None
        if normalization is not None:
            if not Path(normalization).is_file():
                raise FileNotFoundError(f"there are no statistics {normalization}")
            spaces_of_agent = SpacesOnly(model.observation_space, model.action_space)
            try:
                venv = VecNormalize.load(str(normalization), DummyVecEnv([lambda: spaces_of_agent]))
            except Exception as error:
                raise ArgumentError(
                    f"{normalization} does not fit {path} ({error}): say which statistics belong to it"
                ) from error
        return cls(model.policy, venv)

    def check_spaces(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
        """
        :param observation_space: of an environment
        :param action_space: of an environment
        :raises ValueError: if the agent was trained in others
        """
        own = (self.policy.observation_space, self.policy.action_space)
        mine, its = own[1], action_space
        are_boxes = isinstance(mine, spaces.Box) and isinstance(its, spaces.Box)
        if are_boxes and same_kind(mine, its) and not same_actions(mine, its):
            assert isinstance(mine, spaces.Box) and isinstance(its, spaces.Box)
            raise ArgumentError(
                f"the agent's actions lie in [{mine.low.min():g}, {mine.high.max():g}], those of the environment in "
                f"[{its.low.min():g}, {its.high.max():g}]: put the wrapper around it that the agent was trained with "
                "(`RescaleAction`?)"
            )
        if (found := difference(own, (observation_space, action_space))) is not None:
            name, wanted, given = found
            raise ArgumentError(f"the agent was trained for {name} space {wanted}, the environment has {given}")

    def __call__(self, observations: Any) -> npt.NDArray[Any]:
        """
        :param observations: of the environments, as they are ``(n, *obs)``
        :return: greedy actions ``(n, *action)``
        """
        if self.normalization is not None:
            observations = self.normalization.normalize_obs(observations)
        actions, _ = self.policy.predict(observations, deterministic=True)
        return np.asarray(actions)


def statistics_beside(agent: Path, env_id: str) -> Path | None:
    """
    :param agent: a zip
    :param env_id: of its environment
    :return: the ``vecnormalize.pkl`` that lies with it, as rl-zoo or ``sb3-distill teach`` leaves it; ``None`` if none does
    """
    folders = (agent.parent, agent.parent / env_id, agent.parent / env_id.replace("/", "-"))
    return next((folder / "vecnormalize.pkl" for folder in folders if (folder / "vecnormalize.pkl").is_file()), None)


def _algorithm_of(path: Path, name: str | None) -> type[BaseAlgorithm]:
    data, _, _ = load_from_zip_file(path, device="cpu", load_data=True)
    if data is None:
        raise ArgumentError(f"{path} is not a zip that an SB3 algorithm saved")
    if "dataset_info" in data:
        raise ArgumentError(f"{path} is a run of PPMO, which has a dataset: PPMO.load(...).dataset")
    policy_class = data.get("policy_class")
    shown = getattr(policy_class, "__name__", "")
    if shown.startswith("Recurrent"):
        raise ArgumentError(f"{path} is recurrent: its actions do not follow from one observation")
    known = {algorithm.__name__: algorithm for algorithm in _algorithms()}
    if name is not None:
        if name.upper() not in {key.upper() for key in known}:
            raise ArgumentError(f"`algo` must be one of {', '.join(known)}, got {name!r}")
        return next(algorithm for key, algorithm in known.items() if key.upper() == name.upper())
    for algorithm in known.values():
        if policy_class in algorithm.policy_aliases.values():
            return algorithm
    raise ArgumentError(
        f"{path} {f'has a policy {shown} of its own' if shown else 'does not say which policy it has'}: "
        f"say which algorithm saved it, one of {', '.join(known)}"
    )


def _algorithms() -> list[type[BaseAlgorithm]]:
    found = [getattr(stable_baselines3, name) for name in ALGORITHMS]
    try:
        import sb3_contrib
    except ImportError:
        return found
    return found + [getattr(sb3_contrib, name) for name in CONTRIB if hasattr(sb3_contrib, name)]
