"""Tasks on which architectures are searched: what is judged, by what, for how many steps."""

import time
from typing import NamedTuple

import numpy as np
import torch as th

from benchmarks.lib.results import RUNS
from sb3_distill import PPMO, SyntheticDataset, make_vec_env, record
from sb3_distill.environments.random_rollout import random_rollout
from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.scores.offline import OfflineScore
from sb3_distill.search.scores.online import OnlineScore
from sb3_distill.search.space import SearchSpace
from sb3_distill.teaching.acting import normalize
from sb3_distill.typing import Json

SPACE = "mlp"
N_NETWORKS, NETWORKS_SEED = 64, 0
"""Networks whose ranking is asked for, and the seed that draws them from ``SPACE``."""
N_LEFT_OUT, LEFT_OUT_SEED = 10, 100
"""Further networks, on which the budget of RL was found, and which are left out of every figure."""
JUDGED_SEEDS = range(5)
"""Seeds of cheap scores."""


class SearchTask(NamedTuple):
    """
    :param env_id: Gymnasium id
    :param dataset: shipped set that judges; ``None``: one that PPMO distils with its defaults in ``distil_steps``
    :param n_timesteps: budget of RL, at which the median of the networks that are left out lies between random and the best
    :param random: return of random actions
    :param normalize: whether RL sees normalised observations, as the set's learners do
    :param n_seeds: seeds of the truth
    :param n_networks: networks
    :param distil_steps: environment steps of a set that is not shipped
    :param space: what networks are drawn from
    """

    env_id: str
    dataset: str | None
    n_timesteps: int
    random: float
    normalize: bool = False
    n_seeds: int = 5
    n_networks: int = N_NETWORKS
    distil_steps: int = 200_000
    space: str | Json = SPACE

    def networks(self) -> list[PolicyArchitecture]:
        """The networks of the benchmark."""
        return SearchSpace.parse(self.space).draw(N_NETWORKS, NETWORKS_SEED)[: self.n_networks]

    def online(self, name: str = "online", learning_rate: float = 1e-3) -> OnlineScore:
        """The truth: SB3's PPO."""
        return OnlineScore(self.env_id, self.n_timesteps, normalize=self.normalize, learning_rate=learning_rate, name=name)

    def set(self) -> tuple[SyntheticDataset, float]:
        """The set that judges, and the seconds that its distilling took (0: it is shipped)."""
        if self.dataset is not None:
            return SyntheticDataset.load(self.dataset), 0.0
        path = RUNS / f"search-{self.env_id}.safetensors"
        if not path.exists():
            start = time.perf_counter()
            model = PPMO("MlpPolicy", make_vec_env(self.env_id, 8, seed=0), seed=0, device="cpu").learn(self.distil_steps)
            model.dataset.save(path)
            path.with_suffix(".seconds").write_text(f"{time.perf_counter() - start}")
        return SyntheticDataset.load(path), float(path.with_suffix(".seconds").read_text())

    def offline(self) -> tuple[OfflineScore, float]:
        """Behaviour cloning of 2,000 steps of taught networks, and the seconds that recording took."""
        start = time.perf_counter()
        play = record(self.set()[0], n_steps=2000, deterministic=False, seed=0)
        return OfflineScore(play, normalize=self.normalize, name="offline"), time.perf_counter() - start

    def observations(self, dataset: SyntheticDataset) -> th.Tensor:
        """128 real observations of random actions, as networks see them."""
        env = make_vec_env(self.env_id, 16, seed=0)
        env.action_space.seed(0)
        visited = np.stack(random_rollout(env, 40))[:: 40 * 16 // 128]  # type: ignore[arg-type]
        env.close()
        return th.as_tensor(normalize(dataset, visited), dtype=th.float32)

    def standing(self) -> Json:
        """What was fixed before the truth was computed."""
        return {**self._asdict(), "networks_seed": NETWORKS_SEED, "settings": self.online().describe()}


RATES: Json = {
    "width": 64, "depth": 2, "learning_rate": {"low": 1e-4, "high": 0.03}, "hidden_gain": {"low": 0.5, "high": 2.0},
    "last_gain": {"low": 0.01, "high": 1.0},
}  # fmt: skip
"""Hyperparameters of RL: the learning rate, and the gains of the initialisation of a 64-64 network."""
TASKS = {
    "2-D": SearchTask("NDCartPole2D-v0", "NDCartPole2D-v0/wide", 30_000, 20),
    "3-D": SearchTask("NDCartPole3D-v0", "NDCartPole3D-v0/wide", 60_000, 15),
    "Acrobot": SearchTask("Acrobot-v1", "Acrobot-v1", 25_000, -500, normalize=True, n_seeds=3),
    "LunarLander": SearchTask("LunarLander-v3", None, 60_000, -180, normalize=True, n_seeds=3),
    "2-D, rates": SearchTask("NDCartPole2D-v0", "NDCartPole2D-v0/wide", 30_000, 20, n_seeds=3, n_networks=32, space=RATES),
    "HalfCheetah": SearchTask("HalfCheetah-v4", "HalfCheetah-v4", 100_000, -280, normalize=True, n_seeds=3, n_networks=8),
}
