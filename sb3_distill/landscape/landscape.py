"""The landscape around a learner."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch as th
from stable_baselines3.common.policies import BasePolicy

from sb3_distill.dataset.synthetic_dataset import DatasetLike
from sb3_distill.environments.foreign.hand_over import EnvSource
from sb3_distill.evaluation.protocol import copy_on
from sb3_distill.landscape.figures.compare import compare
from sb3_distill.landscape.names import INITIAL, RL, Directions, check_directions
from sb3_distill.landscape.place import Place
from sb3_distill.landscape.points.named import Trained, named_points, path_of
from sb3_distill.landscape.points.play import Arena
from sb3_distill.landscape.points.shape import shape_of
from sb3_distill.landscape.report import LandscapeReport


@dataclass(frozen=True, repr=False)
class Landscape(Place):
    """Planes, rays, barriers and curvature around a learner, on the real and on the distilled objective."""

    @classmethod
    def around(
        cls,
        dataset: DatasetLike,
        seed: int = 0,
        rl: Trained | None = None,
        directions: Directions = "step-rl",
        n_planes: int = 1,
        env: EnvSource | None = None,
        policy: str | type[BasePolicy] | None = None,
        policy_kwargs: Mapping[str, Any] | None = None,
        rl_settings: Mapping[str, Any] | None = None,
        max_envs: int | None = None,
        device: th.device | str = "cpu",
        progress: Callable[[int], object] | None = None,
    ) -> "Landscape":
        """
        Teach a learner, train another from the same start by RL, and lay planes through them.

        :param dataset: a dataset, a path, or the name of a shipped set
        :param seed: seed of the learner, as in ``DistilledPolicy.from_dataset``
        :param rl: timesteps of a training by SB3's PPO from the same start; or a trained model or policy of the same layers,
            which had another start as a rule; or a path of parameters ``(T, d)`` that an earlier landscape had;
            ``None`` for no RL
        :param directions: ``"step-rl"``: one plane through the initial, the taught and the RL-trained network; ``"random"``:
            filter-normalised directions (Li et al. 2018); ``"pca"``: principal components of RL's path, in pairs;
            ``"hessian"`` and ``"fisher"``: top eigenvectors of the distilled loss or the policy's Fisher information at the
            taught network, in pairs
        :param n_planes: number of planes; random ones are around the RL-trained network, or the taught one without RL
        :param env: the environment, see ``evaluate_learners``; ``None`` for the dataset's
        :param policy: alias or class of the policy; ``None`` for the one that the dataset names
        :param policy_kwargs: arguments of the policy
        :param rl_settings: arguments of ``PPO`` in place of those of ``training.PPO_SETTINGS``
        :param max_envs: largest number of environments, see ``evaluate_learners``
        :param device: device of the networks
        :param progress: function of the number of RL steps that were made
        :return: the landscape
        :raises DatasetError: if the set does not fit the policy, or the RL model has other spaces or layers
        :raises TypeError: for a set whose encoder holds all layers, or that sees a dict of observations
        :raises ValueError: for unknown directions, fewer than one plane, or directions that need RL where there is none
        """
        dataset = copy_on(device, dataset, None)
        check_directions(directions, n_planes, rl is not None)
        shape, policy_class, kwargs = shape_of(dataset, policy, policy_kwargs)
        points = named_points(shape, policy_class, kwargs, seed)
        path = path_of(rl, shape, points[INITIAL], seed, policy_class, kwargs, env, rl_settings, progress)
        if path is not None:
            points[RL] = path[-1].to(points[INITIAL])
        bare = cls(shape, points, path, [], Arena(shape, env, max_envs, seed), seed)
        return replace(bare, planes=bare.planes_along(directions, n_planes))

    def compare(self, **settings: Any) -> LandscapeReport:
        """
        :param settings: arguments of ``figures.compare.compare``
        :return: all figures of this landscape, each beside its controls
        """
        return compare(self, **settings)
