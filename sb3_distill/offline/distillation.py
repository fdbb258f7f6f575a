"""A task: recorded play becomes a synthetic dataset, without an environment."""

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import torch as th
from stable_baselines3.common.policies import BasePolicy

from sb3_distill.arguments import device_of, number, whole
from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.dataset.normalization import Normalization
from sb3_distill.dataset.start import draw_dataset, initialise_from_observations, shrink_initial_rates
from sb3_distill.dataset.synthetic_dataset import DatasetLike, SyntheticDataset
from sb3_distill.errors import ArgumentError
from sb3_distill.learners.distribution import LearnerDistribution, LearnerDistributionLike
from sb3_distill.learners.policy_factory import PolicyFactory
from sb3_distill.learners.population import Learners
from sb3_distill.learners.sampler import LearnerSampler
from sb3_distill.networks.policy_kwargs import recorded_policy
from sb3_distill.offline.advantages import ValueFit, advantages_of, weights_of
from sb3_distill.offline.recording import Recording
from sb3_distill.outer_loop.combination import Combine, check_combine
from sb3_distill.outer_loop.regularization import RegularizersLike
from sb3_distill.outer_loop.regularizers import disagreement, weighted_mean
from sb3_distill.outer_loop.settings import InnerRate, Settings, inner_loop_of, resolve
from sb3_distill.supervised import saving
from sb3_distill.supervised.run import NOT_SAVED, RunOnData
from sb3_distill.teaching.acting import Actor
from sb3_distill.teaching.resolve_policy import resolve_policy
from sb3_distill.trees import index, map_leaves
from sb3_distill.typing import DatasetInit, InnerLoopName, Observations, Rate, RawObservations

Weighting = Literal["advantage", "none"]
N_VISITED = 4_096
"""Recorded observations among which a start is chosen, at least."""


class OfflineDistillation(RunOnData):
    """
    Learn a synthetic dataset from recorded play, without an environment. In each update M fresh learners are drawn and taught,
    see a minibatch of recorded observations, and the dataset follows the gradient of the log-likelihood of the recorded
    actions under their policies: behaviour cloning through the inner loop. By default better actions count more: a value
    network is fitted by expectile regression before, and an action is drawn as often as ``exp(advantage / temperature)`` says.

    Arguments that are not described here are as in ``PPMO``.

    :param data: recorded play, or the path of some
    :param policy: policy of the learners
    :param weighting: ``"advantage"``, or ``"none"`` for plain behaviour cloning
    :param temperature: divides the advantages, in units of their standard deviation; small ones keep the best actions only
    :param largest_weight: bound of the weight of an action, in units of the mean; above 1
    :param gamma: discount of the value network
    :param gae_lambda: share of the recorded return in what the value network learns, against its predictions
    :param expectile: expectile of the returns that the value network predicts, in (0, 1)
    :param n_value_updates: updates of the value network, before the dataset learns
    :param normalize: whether observations that are vectors are normalised by statistics of the recording, which travel with
        the dataset
    :param batch_size: recorded steps that each learner sees in an update
    :param n_learners: M, fresh learners of each update
    :param dataset_init: ``"normal"`` noise, or ``"observations"`` of the recording
    :raises RecordingError: if the recording cannot be read
    :raises DatasetError: if the recording is of other spaces than ``initial_dataset``
    :raises ValueError: for settings that do not fit
    """

    name = "OfflineDistillation"

    def __init__(
        self,
        data: Recording | str | os.PathLike[str],
        policy: str | type[BasePolicy] = "MlpPolicy",
        *,
        policy_kwargs: Mapping[str, Any] | None = None,
        weighting: Weighting = "advantage",
        temperature: float = 0.25,
        largest_weight: float = 30.0,
        gamma: float = 0.99,
        gae_lambda: float = 1.0,
        expectile: float = 0.7,
        n_value_updates: int = 3_000,
        normalize: bool = True,
        learning_rate: Rate = "lin_0.003",
        weight_decay: float = 0.0,
        batch_size: int = 256,
        max_grad_norm: float = 0.5,
        n_instances: int | None = None,
        n_learners: int = 8,
        learner_distribution: LearnerDistributionLike | None = None,
        inner_loop: InnerLoopName = "sgd",
        inner_learning_rate: InnerRate | None = None,
        inner_rate_per_role: bool = False,
        inner_rate_relative: bool | None = None,
        carry_strength: float | None = None,
        n_inner_steps: int = 1,
        initial_dataset: DatasetLike | None = None,
        dataset_init: DatasetInit = "normal",
        regularizers: RegularizersLike | None = None,
        combine: Combine | None = None,
        labels_learning_rate: Rate | None = None,
        rates_learning_rate: Rate | None = None,
        log_std_learning_rate: Rate | None = None,
        encoder_layers: int = 0,
        encoder_learning_rate: Rate | None = None,
        tensorboard_log: str | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: th.device | str = "auto",
    ) -> None:
        self.arguments = {name: value for name, value in locals().items() if name not in NOT_SAVED}
        rates = {
            "labels": labels_learning_rate, "rates": rates_learning_rate, "log_std": log_std_learning_rate,
            "encoder": encoder_learning_rate,
        }  # fmt: skip
        super().__init__(learning_rate, rates, weight_decay, max_grad_norm, seed, tensorboard_log, verbose)
        if weighting not in get_args(Weighting):
            raise ArgumentError(f"`weighting` must be one of {', '.join(get_args(Weighting))}, got {weighting!r}")
        for argument, value in (("temperature", temperature), ("largest_weight", largest_weight)):
            low = int(argument == "largest_weight")
            if not low < number(argument, value) < np.inf:
                raise ArgumentError(f"`{argument}` must be above {low} and finite, got {value}")
        fit = ValueFit(gamma, gae_lambda, expectile, whole("n_value_updates", n_value_updates))
        fit.check()
        self.data = Recording.of(data)
        self.data_size = len(self.data)
        self.batch_size = whole("batch_size", batch_size)
        device = device_of(device)
        settings = resolve(
            Settings(
                n_instances=n_instances, n_learners=whole("n_learners", n_learners),
                learner_distribution=learner_distribution, inner_loop=inner_loop, inner_learning_rate=inner_learning_rate,
                inner_rate_per_role=inner_rate_per_role, inner_rate_relative=inner_rate_relative,
                carry_strength=carry_strength, n_inner_steps=n_inner_steps, initial_dataset=initial_dataset,
                dataset_init=dataset_init, regularizers=regularizers, combine=combine, encoder_layers=encoder_layers,
            ),
            *self._spaces,
            None,
        )  # fmt: skip
        dataset = self._start(settings, normalize, policy, policy_kwargs)
        dataset.to(device)
        policy_class, kwargs = resolve_policy(dataset, policy, dict(policy_kwargs or {}))

        def make_sampler() -> LearnerSampler[PolicyFactory]:
            return LearnerDistribution.parse(learner_distribution).bind(
                policy_class, kwargs, *self._spaces, device, dataset.statistics, dataset.encoder
            )

        sampler = self.sampler_with_encoder(dataset, make_sampler, encoder_layers, initial_dataset is None)
        distribution = sampler.factory.action_distribution(sampler.components[0])
        if distribution.state_dependent:
            raise ArgumentError("`use_sde` is for exploration, and recorded play is not explored: leave it out")
        self.make_distiller(dataset, sampler, settings.n_learners or 1, regularizers, initial_dataset is None)
        normalize_images = bool(kwargs.get("normalize_images", True))
        check_combine(combine, ("an encoder", dataset.encoder is not None))
        self.actor = Actor(dataset, distribution, normalize_images, is_normalized=True, combine=combine)
        if initial_dataset is None:
            self._fit_start(dataset, dataset_init, normalize_images)
        columns = self.data.columns
        seen = self._as_seen(columns.observations)
        self.observations: Observations = map_leaves(lambda leaf: th.tensor(leaf, device=device), seen)
        self.actions = th.tensor(columns.actions, device=device).reshape(len(self.data), -1)
        self.weights = np.ones(len(self.data))
        """Weight of each recorded action ``(N,)``; their mean is 1."""
        if weighting == "advantage":
            space, last_seen = self.data.observation_space, self._as_seen(columns.last_observations)
            generator = self.generator if self.seed is None else th.Generator().manual_seed(self.seed)  # the same when loaded
            advantages = advantages_of(columns, seen, last_seen, space, fit, generator, device, verbose > 0)
            self.weights = weights_of(advantages, temperature, largest_weight)
        self._ends_of_weights = th.as_tensor(np.cumsum(self.weights))

    @property
    def _spaces(self) -> tuple[Any, Any]:
        return self.data.observation_space, self.data.action_space

    def loss_of(self, learners: Learners, drawn: Learners) -> tuple[th.Tensor, th.Tensor]:
        m, regularization, dataset = learners.n_learners, self.distiller.regularization, self.dataset
        n_views = 1 if self.actor.combine else m  # learners that act as one see the same steps
        chosen = self.draw_rows(n_views * self.batch_size).to(self.actions.device)
        observations = map_leaves(lambda leaf: leaf[chosen], self.observations)
        actions = self.actions[chosen]
        outputs = self.actor.outputs(learners, observations).outputs
        outputs = self.actor.distribution.pull_to_bounds(outputs, actions)
        log_prob = self.actor.distribution.log_prob(outputs, actions, dataset.log_std)
        weights = None
        if self.actor.combine is None:
            weights = regularization.weigh(drawn, log_prob.detach().unflatten(0, (m, -1)).mean(dim=1))
        loss = shown = -weighted_mean(log_prob, weights)
        if size := regularization.sizes.agreement:
            same = self.actor.on_same_states(learners, observations)
            loss = loss + size * disagreement(same, dataset.info.action_space, dataset.log_std)
        return loss, shown

    def draw_rows(self, n: int) -> th.Tensor:
        """
        :param n: number of steps
        :return: numbers of recorded steps, each as likely as its weight says ``(n,)``
        """
        # Weights in the loss would be the plain way: a minibatch then depends on the few steps that weigh much.
        drawn = th.rand(n, generator=self.generator, dtype=th.float64) * self._ends_of_weights[-1]
        return th.searchsorted(self._ends_of_weights, drawn, right=True).clamp(max=self.data_size - 1)

    @classmethod
    def load(cls, path: str | os.PathLike[str], data: Recording | str | os.PathLike[str], **changes: Any) -> Self:
        """
        :param path: what ``save`` wrote
        :param data: the recording, which is not saved
        :param changes: arguments that shall be others
        :return: the run, which goes on with ``learn(n_updates, reset_num_updates=False)``
        :raises DatasetError: if the file is none, or damaged
        """
        dataset, arguments, state = saving.read(Path(path), cls.name, changes)
        run = cls(data, **{**arguments, **changes, "initial_dataset": dataset})
        return run.restore(state, path)

    def _start(
        self, settings: Settings, normalize: bool, policy: str | type[BasePolicy], policy_kwargs: Mapping[str, Any] | None
    ) -> SyntheticDataset:
        """The dataset that the run learns: a new one, or a copy of one to go on from."""
        origin, loop = self.data.origin, inner_loop_of(settings)
        info = DatasetInfo(
            *self._spaces,
            env_id=origin.env_id,
            env_kwargs=origin.env_kwargs,
            wrappers=origin.wrappers,
            **recorded_policy(policy if isinstance(policy, str) else None, policy_kwargs or {}),
            learner_distribution=LearnerDistribution.parse(settings.learner_distribution).to_json(),
            inner_loop=loop.settings(),
            loss="offline",
            seed=self.seed,
            normalization=self.data.normalization() if normalize else None,
            data={"n_steps": len(self.data), "n_episodes": self.data.n_episodes, "updates": 0},
        )
        if settings.initial_dataset is None:
            return draw_dataset(settings.n_instances or 1, loop, info, self.generator)
        dataset = copy.deepcopy(SyntheticDataset.of(settings.initial_dataset))
        dataset.check_spaces(*self._spaces, holder="recording", in_order=dataset.encoder is not None)
        info.inner_loop, info.normalization = dataset.info.inner_loop, dataset.info.normalization
        info.encoder_layers, info.timesteps = dataset.encoder_layers, dataset.info.timesteps
        info.data["updates"] = dataset.info.data.get("updates", 0)
        dataset.info = info
        dataset.set_normalization(info.normalization)
        return dataset

    def _fit_start(self, dataset: SyntheticDataset, init: DatasetInit, normalize_images: bool) -> None:
        """A new dataset starts where the recording is: at some of its observations, or with rates that fit them."""
        n = max(N_VISITED, dataset.n_instances)
        chosen = th.randint(self.data_size, (n,), generator=self.generator).numpy()
        seen = self._as_seen(map_leaves(lambda leaf: leaf[chosen], self.data.observations))
        visited = [index(seen, i) for i in range(n)]
        if init == "observations":
            initialise_from_observations(dataset, visited, self.generator, normalize_images)
        shrink_initial_rates(dataset, self.distiller.draw(), visited, normalize_images)

    def _as_seen(self, observations: RawObservations) -> RawObservations:
        """Observations as networks see them: normalised, real numbers in single precision."""
        if (all_of_it := self.dataset.info.normalization) is not None:  # learned weights come where networks see
            return Normalization(all_of_it.mean, all_of_it.var, all_of_it.clip, all_of_it.epsilon)(observations)
        return map_leaves(lambda leaf: leaf.astype(np.float32) if leaf.dtype == np.float64 else leaf, observations)
