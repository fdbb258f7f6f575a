"""What a dataset says of the run that makes it, and the statistics of environments that travel with it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import VecEnv

from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.environments.origin import recorded
from sb3_distill.environments.vec_normalize import normalization_of
from sb3_distill.errors import ArgumentError
from sb3_distill.inner_loop.loop import InnerLoop
from sb3_distill.learners.distribution import LearnerDistribution, LearnerDistributionLike
from sb3_distill.networks.policy_kwargs import recorded_policy
from sb3_distill.outer_loop.settings import Settings
from sb3_distill.typing import Space


class Model(Protocol):
    """What a description says of a model."""

    observation_space: Space
    action_space: Space
    outer_loss: ClassVar[str]
    seed: int | None
    n_steps: int
    n_envs: int
    ent_coef: float

    @property
    def settings(self) -> Settings: ...


def new_description(
    model: Model,
    inner_loop: InnerLoop,
    policy: type[BasePolicy],
    policy_kwargs: Mapping[str, Any],
    aliases: Mapping[str, type[BasePolicy]],
) -> DatasetInfo:
    """
    :param model: the model that learns the dataset
    :param inner_loop: how its learners are trained
    :param policy: policy of the learners, which the description names where it has an alias and arguments that JSON can hold
    :param policy_kwargs: its arguments
    :param aliases: policies by name
    """
    names = [name for name, alias in aliases.items() if alias is policy]
    return DatasetInfo(
        model.observation_space,
        model.action_space,
        inner_loop=inner_loop.settings(),
        encoder_layers=model.settings.encoder_layers,
        loss=model.outer_loss,
        seed=None if model.seed is None else int(model.seed),
        **recorded_policy(names[0] if names else None, policy_kwargs),
    )


def chosen(model: Model) -> dict[str, int | float | bool | str]:
    """
    :param model: a model that is set up
    :return: what it chooses for a task where the user leaves it open, by the name of the argument; with ``n_envs``, on which
        two of them depend
    """
    names = ("n_instances", "n_learners", "normalize")
    settings = {name: getattr(model.settings, name) for name in names}
    entropy = {"ent_coef": float(model.ent_coef)} if model.outer_loss == "ppo" else {}
    return {**settings, "n_steps": int(model.n_steps), "n_envs": int(model.n_envs), **entropy}


def record_origin(info: DatasetInfo, env: VecEnv | None, learners: LearnerDistributionLike | None) -> None:
    """
    :param info: is changed in place: it names the environment and the learners of this run
    :param env: the environment; ``None`` to leave what is recorded
    :param learners: the learner distribution
    """
    info.learner_distribution = LearnerDistribution.parse(learners).to_json()
    if env is not None:
        origin = recorded(env)
        info.env_id, info.env_kwargs, info.wrappers = origin.env_id, origin.env_kwargs, origin.wrappers


def check_normalized(env: VecEnv | None) -> None:
    """
    :param env: the environment of a dataset with learned weights of observations, which travel with their statistics
    :raises ValueError: if its observations are not normalised
    """
    if env is not None and normalization_of(env) is None:
        raise ArgumentError(
            "`input_scale_learning_rate` needs normalised observations: put the environment into a VecNormalize, or give "
            "normalize=True"
        )


def rescue(dataset: SyntheticDataset, folder: str | None) -> str:
    """
    :param dataset: is written into the folder
    :param folder: folder of the logs; ``None`` if there is none
    :return: where it is now, in words that end a message
    """
    if folder is None:
        return ""
    path = Path(folder) / "last_finite_dataset.safetensors"
    dataset.save(path)
    return f" and was written to {path}"
