"""A task: labelled examples become a synthetic dataset."""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch as th
from stable_baselines3.common.policies import BasePolicy

from sb3_distill.arguments import device_of, whole
from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.dataset.synthetic_dataset import DatasetLike, SyntheticDataset
from sb3_distill.errors import ArgumentError
from sb3_distill.learners.distribution import LearnerDistribution, LearnerDistributionLike
from sb3_distill.learners.population import Learners
from sb3_distill.networks.policy_kwargs import recorded_policy
from sb3_distill.outer_loop.combination import Combine, combined
from sb3_distill.outer_loop.regularization import RegularizersLike
from sb3_distill.outer_loop.regularizers import weighted_mean
from sb3_distill.outer_loop.settings import InnerRate, Settings, inner_loop_of, resolve
from sb3_distill.supervised import losses, saving
from sb3_distill.supervised.augment import Augment
from sb3_distill.supervised.evaluation import DataEvaluation, evaluate_supervised
from sb3_distill.supervised.examples import Data, Examples, as_seen, target_scale
from sb3_distill.supervised.modules.factory import ModuleFactory, find_module, name_of
from sb3_distill.supervised.modules.sampler import sampler_for
from sb3_distill.supervised.run import NOT_SAVED, RunOnData
from sb3_distill.supervised.start import start_from_data
from sb3_distill.typing import InnerLoopName, Rate


class SupervisedDistillation(RunOnData):
    """
    Learn a synthetic dataset from labelled examples: a fresh network that is taught the dataset predicts as one that was
    trained on all examples (section 1 of Wilhelm & Ventura 2025: any learning task may be distilled). In each update M
    fresh learners are drawn and taught, see a minibatch of real examples, and the dataset follows the gradient of their
    cross-entropy, or of their squared error for numbers to predict.

    Arguments that are not described here are as in ``PPMO``.

    :param data: examples ``(inputs, targets)``, see ``Examples.of``
    :param module: function or class that makes a learner, any ``nn.Module`` from inputs to logits or predictions that ends
        with a linear layer; ``None`` for the network of ``policy``
    :param policy: SB3 policy whose actor is a learner
    :param policy_kwargs: its arguments
    :param n_classes: number of classes; ``None`` for what the data show
    :param normalize: whether inputs, and numbers to predict, are normalised by statistics of the data, which travel with the
        dataset
    :param learning_rate: step size of the synthetic inputs
    :param batch_size: real examples that each learner sees in an update
    :param n_instances: ``None`` for one per class, and 64 for regression
    :param n_learners: M, fresh learners of each update
    :param dataset_init: ``"normal"`` noise, or ``"data"``, real examples. Labels start at one-hot classes, and for
        regression at targets of the data, where inputs do
    :param combine: ``None``: the loss is the mean over learners. ``"probs"`` or ``"logits"``: the loss is that of the
        combined prediction of all learners on the same examples, so that they make a good ensemble
    :param encoder_layers: so many first layers of the learners are an encoder, which all of them share. The encoder follows
        the same loss, and travels with the dataset; with a ``combine`` there is none
    :param augment: changes the real inputs of an update at random, so that the dataset cannot suit these examples too well:
        from normalised inputs ``(b, *shape)`` and a generator to inputs of the same shape; see ``augment.shifts``
    :param verbose: 1 prints a table now and then
    :raises ValueError: for data, learners or settings that do not fit
    """

    name = "SupervisedDistillation"

    def __init__(
        self,
        data: Data,
        module: ModuleFactory | None = None,
        *,
        policy: str | type[BasePolicy] | None = None,
        policy_kwargs: Mapping[str, Any] | None = None,
        n_classes: int | None = None,
        normalize: bool = True,
        learning_rate: Rate = "lin_0.01",
        weight_decay: float = 0.0,
        batch_size: int = 256,
        max_grad_norm: float = 0.5,
        n_instances: int | None = None,
        n_learners: int = 8,
        learner_distribution: LearnerDistributionLike | None = None,
        inner_loop: InnerLoopName = "sgd",
        inner_learning_rate: InnerRate | None = None,
        inner_rate_per_role: bool = True,
        inner_rate_relative: bool | None = None,
        carry_strength: float | None = None,
        n_inner_steps: int = 1,
        initial_dataset: DatasetLike | None = None,
        dataset_init: str = "normal",
        regularizers: RegularizersLike | None = None,
        combine: Combine | None = None,
        augment: Augment | None = None,
        labels_learning_rate: Rate | None = None,
        rates_learning_rate: Rate | None = None,
        encoder_layers: int = 0,
        encoder_learning_rate: Rate | None = None,
        tensorboard_log: str | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: th.device | str = "auto",
    ) -> None:
        self.arguments = {name: value for name, value in locals().items() if name not in NOT_SAVED}
        rates = {"labels": labels_learning_rate, "rates": rates_learning_rate, "encoder": encoder_learning_rate}
        super().__init__(learning_rate, rates, weight_decay, max_grad_norm, seed, tensorboard_log, verbose)
        self.data, self.module = Examples.of(data, n_classes), module
        self.combine, self.augment = combine, augment
        if augment is not None and not callable(augment):
            raise ArgumentError(f"`augment` must be a function of inputs and a generator, got {augment!r}")
        self.data_size = len(self.data)
        self.batch_size = min(whole("batch_size", batch_size), self.data_size)
        device = device_of(device)
        spaces_ = self.data.input_space, self.data.target_space
        if n_instances is None:
            n_instances = self.data.n_classes or 64
        settings = resolve(
            Settings(
                n_instances=n_instances, n_learners=whole("n_learners", n_learners),
                learner_distribution=learner_distribution, inner_loop=inner_loop, inner_learning_rate=inner_learning_rate,
                inner_rate_per_role=inner_rate_per_role, inner_rate_relative=inner_rate_relative,
                carry_strength=carry_strength, n_inner_steps=n_inner_steps, regularizers=regularizers, combine=combine,
                encoder_layers=encoder_layers,
            ),
            *spaces_,
            None,
        )  # fmt: skip
        loop = inner_loop_of(settings)
        distribution = LearnerDistribution.parse(learner_distribution)
        examples, scale = self.data.standardised() if normalize else (self.data, {})
        info = DatasetInfo(
            *spaces_,
            learner_distribution=distribution.to_json(),
            inner_loop=loop.settings(),
            loss="cross_entropy" if self.data.n_classes else "mse",
            seed=self.seed,
            normalization=self.data.statistics() if normalize else None,
            data={"n_examples": len(self.data), "updates": 0, "batch_size": self.batch_size, **scale},
            **_named(module, policy, policy_kwargs),
        )
        dataset = start_from_data(examples, info, loop, n_instances, dataset_init, initial_dataset, self.generator)
        self.inputs = as_seen(dataset.info, self.data.inputs).to(device)
        self.targets = self._scaled(dataset, self.data).to(device)
        dataset.to(device)
        make_sampler = partial(sampler_for, dataset, distribution, module, policy, policy_kwargs)
        sampler = self.sampler_with_encoder(dataset, make_sampler, encoder_layers, initial_dataset is None)
        self._variance = self.targets.var(dim=0).clamp(min=1e-12) if self.data.n_classes is None else th.ones(())
        self.make_distiller(dataset, sampler, settings.n_learners or 1, regularizers, initial_dataset is None)
        self._policy = policy, policy_kwargs

    def loss_of(self, learners: Learners, drawn: Learners) -> tuple[th.Tensor, th.Tensor]:
        m = learners.n_learners
        rows = (self.batch_size,) if self.combine else (m, self.batch_size)
        chosen = th.randint(len(self.data), rows, generator=self.generator).expand(m, -1).to(self.targets.device)
        inputs, targets = self.inputs[chosen], self.targets[chosen]
        if self.augment is not None:
            inputs = self.augment(inputs.flatten(0, 1), self.generator).view_as(inputs)
        outputs = learners(inputs)
        is_classes, log_std = self.data.n_classes is not None, self.dataset.log_std
        if self.combine:
            outputs = combined(outputs, self.dataset.info.action_space, self.combine).unsqueeze(0)
            targets = targets[:1]
        errors = (
            losses.cross_entropy(outputs, targets) if is_classes else losses.squared_error(outputs, targets, self._variance)
        )
        weights = None if self.combine else self.distiller.regularization.weigh(drawn, -errors.detach().mean(dim=1))
        loss = weighted_mean(errors.flatten(), weights)
        return loss if log_std is None else loss + losses.log_std_loss(outputs, targets, log_std), loss

    def evaluate(self, data: Data, n_learners: int = 100, **kwargs: Any) -> DataEvaluation:
        """``evaluate_supervised`` of the dataset as it is, with learners as in this run; see there for the arguments."""
        policy, policy_kwargs = self._policy
        defaults = {"learner_distribution": self.distiller.sampler.components, "module": self.module, "policy": policy}
        return evaluate_supervised(self.dataset, data, n_learners, **{**defaults, "policy_kwargs": policy_kwargs, **kwargs})

    @classmethod
    def load(cls, path: str | os.PathLike[str], data: Data, module: ModuleFactory | None = None, **changes: Any) -> Self:
        """
        :param path: what ``save`` wrote
        :param data: the examples, which are not saved
        :param module: makes learners, where the run had one
        :param changes: arguments that shall be others
        :return: the run, which goes on with ``learn(n_updates, reset_num_updates=False)``
        :raises DatasetError: if the file is none, or damaged
        """
        dataset, arguments, state = saving.read(Path(path), cls.name, changes)
        if module is None and dataset.info.policy is None and arguments.get("policy") is None:
            module = find_module(dataset.info.module)
        run = cls(data, module, **{**arguments, **changes, "initial_dataset": dataset})
        return run.restore(state, path)

    def _scaled(self, dataset: SyntheticDataset, examples: Examples) -> th.Tensor:
        if examples.n_classes is not None:
            return examples.targets
        std, mean = target_scale(dataset.info)
        return (examples.targets - mean) / std


def _named(
    module: ModuleFactory | None, policy: str | type[BasePolicy] | None, policy_kwargs: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What the file says of the learners."""
    if module is not None:
        return {"module": name_of(module)}
    return recorded_policy("MlpPolicy" if policy is None else policy if isinstance(policy, str) else None, policy_kwargs or {})
