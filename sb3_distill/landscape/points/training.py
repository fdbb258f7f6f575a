"""Ordinary reinforcement learning from the networks that a dataset teaches, with its path."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch as th
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from sb3_distill.environments.foreign.hand_over import EnvSource
from sb3_distill.environments.vec_normalize import normalizers_in
from sb3_distill.errors import ArgumentError
from sb3_distill.evaluation.protocol import make_environments
from sb3_distill.landscape.points.shape import Shape, parameters_of, split
from sb3_distill.networks.anatomy import actor_of
from sb3_distill.networks.stacked import write_parameters
from sb3_distill.outer_loop.rates import schedule
from sb3_distill.teaching.distilled_policy import DistilledPolicy

N_ENVS = 64
"""Environments of a training; of simulators, an eighth."""
PPO_SETTINGS: dict[str, Any] = {
    "n_steps": 128, "batch_size": 1024, "n_epochs": 6, "learning_rate": "lin_1e-3", "gamma": 0.99
}  # fmt: skip
"""Settings of PPO, unless the caller says others."""
N_SNAPSHOTS = 40
"""Points of the path, its ends included."""


@dataclass
class _Path(BaseCallback):
    """Keeps the actor's parameters in even intervals."""

    shape: Shape
    total_timesteps: int
    points: list[th.Tensor] = field(default_factory=list)
    progress: Callable[[int], object] | None = None

    def __post_init__(self) -> None:
        super().__init__()
        self._next = 0.0

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self.progress is not None:
            self.progress(self.num_timesteps)
        if self.num_timesteps >= self._next:
            self.points.append(parameters_of(self.shape, self.model.policy)[0].cpu())
            self._next += self.total_timesteps / (N_SNAPSHOTS - 1)


def train_from(
    shape: Shape,
    initial: th.Tensor,
    timesteps: int,
    seed: int,
    policy: str | type[BasePolicy] | None = None,
    policy_kwargs: dict[str, Any] | None = None,
    env: EnvSource | None = None,
    settings: dict[str, Any] | None = None,
    progress: Callable[[int], object] | None = None,
) -> th.Tensor:
    """
    SB3's PPO, whose actor starts where a learner starts, and sees observations as the dataset normalises them. An encoder
    stays as it is.

    :param shape: networks of one shape
    :param initial: parameters that the actor starts with ``(d,)``
    :param timesteps: number of steps in the environment
    :param seed: seed of the training
    :param policy: alias or class of the policy; ``None`` for the one that the dataset names
    :param policy_kwargs: arguments of the policy
    :param env: the environment, see ``evaluate_learners``; ``None`` for the dataset's
    :param settings: arguments of ``PPO`` in place of those of ``PPO_SETTINGS``
    :param progress: function of the number of steps that were made, called in every iteration
    :return: parameters along the path, the initial ones first and the trained ones last ``(T, d)``
    :raises ValueError: for fewer than one step
    """
    if timesteps < 1:
        raise ArgumentError(f"the RL training must have at least 1 timestep, got {timesteps}")
    dataset = shape.dataset
    taught = DistilledPolicy.from_dataset(dataset, policy, policy_kwargs, seed, dataset.labels.device)
    venv, is_ours = make_environments(dataset, env, 1, N_ENVS, None, ())
    try:
        model = _model(taught, venv, seed, {**PPO_SETTINGS, **(settings or {})})
        layers, rest = split(actor_of(model.policy), dataset)
        if layers is not None:
            layers.requires_grad_(False)
        assert rest is not None
        write_parameters(rest, shape.layout.unflatten(initial.unsqueeze(0)))
        path = _Path(shape, timesteps, progress=progress)
        model.learn(timesteps, callback=path)
        return th.stack([*path.points, parameters_of(shape, model.policy)[0].cpu()])
    finally:
        if is_ours:
            venv.close()


def _model(taught: DistilledPolicy, venv: VecEnv, seed: int, settings: dict[str, Any]) -> PPO:
    """A PPO whose normalisation, if there is one, stays that of the dataset."""
    rate = settings.pop("learning_rate")
    settings["batch_size"] = min(settings["batch_size"], settings["n_steps"] * venv.num_envs)
    model = taught.to_algorithm(
        PPO, venv, seed=seed, device=taught.device, learning_rate=schedule(rate), verbose=0, **settings
    )
    env = model.get_env()
    for layer in [] if env is None else normalizers_in(env):
        assert isinstance(layer, VecNormalize)
        layer.training = False
    return model
