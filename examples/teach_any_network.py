"""
One dataset, many networks: other widths, depths and activations, and a features extractor of your own.

A set teaches what resembles the networks it was made for (here: two layers of 64, tanh, SB3's initialisation). The last rows
show networks that do not; to teach those, distil with a `learner_distribution` or `policy_kwargs` that has them.

    python examples/teach_any_network.py
"""

import argparse

import gymnasium as gym
import torch as th
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from sb3_distill import DistilledPolicy, make_vec_env


class PerAxis(BaseFeaturesExtractor):
    """The same small layer for each axis of cart-pole: position, velocity, angle and angular velocity to `width` features."""

    def __init__(self, observation_space: gym.Space, width: int = 16) -> None:
        super().__init__(observation_space, observation_space.shape[0] // 4 * width)
        self.layer = nn.Sequential(nn.Linear(4, width), nn.Tanh())

    def forward(self, observations: th.Tensor) -> th.Tensor:
        return self.layer(observations.unflatten(1, (-1, 4))).flatten(1)


DATASET = "NDCartPole2D-v0"
NETWORKS = {
    "64-64, tanh (the set's own)": {},
    "one layer of 256": dict(net_arch=[256]),
    "four layers of 64": dict(net_arch=[64, 64, 64, 64]),
    "64-64, ELU": dict(activation_fn=nn.ELU),
    "own features extractor": dict(features_extractor_class=PerAxis),
    "narrowing: 128-64-32": dict(net_arch=[128, 64, 32]),
    "64-64, ReLU": dict(activation_fn=nn.ReLU),
    "PyTorch's initialisation": dict(ortho_init=False),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=20, help="episodes per network")
    options = parser.parse_args()
    th.set_num_threads(1)

    env = make_vec_env(DATASET, n_envs=min(20, options.episodes), seed=0)
    for name, policy_kwargs in NETWORKS.items():
        policy = DistilledPolicy.from_dataset(DATASET, "MlpPolicy", policy_kwargs=policy_kwargs, seed=1)
        mean, std = evaluate_policy(policy, env, options.episodes)
        print(f"{name:30} return {mean:5.1f} ± {std:.1f}")


if __name__ == "__main__":
    main()
