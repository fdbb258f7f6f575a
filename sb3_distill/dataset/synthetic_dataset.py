"""The synthetic dataset: what is learned."""

import copy
import os
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeAlias

import torch as th
from torch import nn
from torch.utils.data import TensorDataset

from sb3_distill.dataset.facts import HasFacts, facts_of
from sb3_distill.dataset.file import check_name, checked_batch, checked_tensor, find, flatten, read, unflatten, write
from sb3_distill.dataset.file_checks import check_info, shortened
from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.dataset.normalization import Normalization, write_normalization
from sb3_distill.errors import DatasetError
from sb3_distill.inner_loop.loop import INNER_LOOPS, InnerLoop, InnerLoopLike, default_inner_loop, make_inner_loop, train
from sb3_distill.learners.population import Encode, Learners
from sb3_distill.networks.encoder import Encoder
from sb3_distill.networks.stacked import below
from sb3_distill.typing import Json, Observations, Params, Space

LOG_STD_BOUNDS = (-3.0, 2.0)
"""Bounds of a learned log-std: unbounded, exploration collapses before the task is solved."""
LOG_SCALE_BOUNDS = (-4.0, 2.0)
"""Bounds of the logarithm of the learned weights of observations."""


class SyntheticDataset(HasFacts, nn.Module):
    """
    A single batch of supervised data that teaches a policy (``{X_d, Y_d}`` of the paper), and all that teaching needs.

    :param observations: synthetic observations ``(k, *preprocessed shape)``, or one such tensor per key of a ``Dict``
        space; they live where the network sees them, after one-hot coding, image scaling and normalisation
    :param labels: ``(k, n_outputs)``: logits, or means before any squashing
    :param inner_loop: how learners are trained on it
    :param info: spaces, origin and scores
    :param learned: the learned numbers of ``inner_loop``; its initial ones if ``None``
    :param log_std: logarithm of the standard deviation of the actions ``(n_outputs,)``, for a ``Box``
    :param statistics: running statistics (of batch norms) that all learners share, by name
    :param encoder: the first layers of all learners, which are not taught
    """

    observations: nn.Parameter | nn.ParameterDict
    labels: nn.Parameter
    log_input_scale: nn.Parameter | None

    def __init__(
        self,
        observations: Observations,
        labels: th.Tensor,
        inner_loop: InnerLoop,
        info: DatasetInfo,
        learned: Mapping[str, th.Tensor] | None = None,
        log_std: th.Tensor | None = None,
        statistics: Mapping[str, th.Tensor] | None = None,
        encoder: Encoder | None = None,
    ) -> None:
        super().__init__()
        self.statistics = dict(statistics or {})
        self.inner_loop = inner_loop
        self.info = info
        if isinstance(observations, Mapping):
            self.observations = nn.ParameterDict({key: nn.Parameter(value) for key, value in observations.items()})
        else:
            self.observations = nn.Parameter(observations)
        self.labels = nn.Parameter(labels)
        learned = inner_loop.initial_parameters() if learned is None else learned
        self._learned_names = list(learned)
        for name, value in learned.items():
            self.register_parameter(name, nn.Parameter(value))
        self.log_std = None if log_std is None else nn.Parameter(log_std)
        self.encoder = encoder
        scale = None if info.normalization is None else info.normalization.log_scale
        self.log_input_scale = None if scale is None else nn.Parameter(scale.detach().clone())
        self._share_scale()

    def _share_scale(self) -> None:
        """The weights of observations have one truth, the parameter: ``info.normalization`` computes with it."""
        if self.info.normalization is not None:
            self.info.normalization.log_scale = self.log_input_scale

    def learn_input_scale(self) -> None:
        """Give every number of a flat observation a learned weight, 1 at first."""
        self.log_input_scale = nn.Parameter(th.zeros(self.info.observation_space.shape or (), device=self.labels.device))
        self._share_scale()

    def set_normalization(self, normalization: Normalization | None) -> None:
        """
        :param normalization: statistics of the observations as they are now, without learned weights
        """
        self.info.normalization = normalization
        self._share_scale()

    def _apply(self, fn: Callable[[th.Tensor], th.Tensor], recurse: bool = True) -> Self:
        # Statistics are shared with networks, so they are no buffers; but they move to another device too.
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.statistics = {name: fn(value) for name, value in self.statistics.items()}
        self._share_scale()
        return self

    def __setstate__(self, state: Json) -> None:  # after a copy or a pickle
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._share_scale()

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As PyTorch's; its metadata say with which normalisation a dataset has learned, see ``normalization_in``."""
        state = super().state_dict(*args, **kwargs)
        if self.info.timesteps > 0 or self.info.normalization is not None:
            write_normalization(state, self.info.normalization)
        return state

    def facts(self) -> dict[str, object]:
        """What is to be known of the dataset, by name."""
        return facts_of(self.info, self.n_instances)

    @property
    def n_instances(self) -> int:
        """The ``k`` of the paper."""
        return self.labels.shape[0]

    @property
    def learned(self) -> dict[str, th.Tensor]:
        """The learned numbers of the inner loop, by name."""
        return {name: getattr(self, name) for name in self._learned_names}

    def observation_parameters(self) -> list[nn.Parameter]:
        """The synthetic observations as a list of parameters."""
        return list(self.observations.values()) if isinstance(self.observations, nn.ParameterDict) else [self.observations]

    @property
    def input_scale(self) -> th.Tensor:
        """Learned weights of the observations, as they enter the networks (where ``log_input_scale`` is not ``None``)."""
        assert self.log_input_scale is not None
        return self.log_input_scale.exp()

    @property
    def encoder_layers(self) -> int:
        """How many layers of a learner are the encoder's, ``l`` of the paper (0: full distillation)."""
        return 0 if self.encoder is None else self.encoder.n_layers

    def with_inner_loop(self, inner_loop: InnerLoopLike) -> "SyntheticDataset":
        """
        The same batch for another way of teaching. A set may teach better by a loop that it was not made for: sets made for
        ``"ridge"`` teach more architectures by ``"carry"``.

        :param inner_loop: an inner loop, or its name
        :return: a copy with that loop. Learned numbers that both loops have are kept, within the bounds of the new one; its
            others are where they start for this action space
        :raises ValueError: for an unknown name
        """
        own = copy.deepcopy(self)
        loop = default_inner_loop(inner_loop, own.info.action_space) if isinstance(inner_loop, str) else inner_loop
        initial = loop.initial_parameters()
        learned = {name: own.learned.get(name, value).detach().to(own.labels) for name, value in initial.items()}
        own.info.inner_loop = loop.settings()
        other = type(self)(own.encode(), own.labels, loop, own.info, learned, own.log_std, own.statistics, own.encoder)
        other.clamp_()
        return other

    def encode(self, encoder: Encode | None = None) -> Observations:
        """
        :param encoder: the function that ``Encoder.bind`` returns; ``None`` for no encoder
        :return: the synthetic observations, encoded (without an encoder a plain dict for ``Dict`` spaces)
        """
        plain: Observations = dict(self.observations) if isinstance(self.observations, nn.ParameterDict) else self.observations
        return plain if encoder is None else encoder(plain)

    def teach(
        self, learners: Learners, labels: th.Tensor | None = None, loop: InnerLoop | None = None, learned: Params | None = None
    ) -> Learners:
        """
        Lines 3 and 12 of Algorithm 1.

        :param learners: initial learners; they are not changed
        :param labels: labels to teach instead of the dataset's, of the same shape
        :param loop: inner loop instead of the dataset's
        :param learned: learned numbers for it instead of the dataset's
        :return: trained learners, differentiable with respect to this dataset unless gradients are switched off
        """
        if self.encoder is not None:
            assert learners.encoder_layers is not None, "learners of a dataset with an encoder bring its layers along"
            learners = Learners(learners.groups, self.encoder.bind(learners.encoder_layers), learners.n_learners)
            if not learners.groups:  # the encoder is everything, nothing is left to teach
                return learners
        labels, learned = self.labels if labels is None else labels, self.learned if learned is None else learned
        return train(self.inner_loop if loop is None else loop, learners, self.encode(learners.encode), labels, learned)

    def to_torch(self) -> TensorDataset:
        """
        For any training loop, with the mean squared error as its loss.

        :return: ``(observations, labels)`` of each instance, copied; the parts of a ``Dict`` observation in the order of its
            keys. They live where the network sees them, see ``DatasetInfo.normalization``
        """
        parts = [value.detach().clone() for value in self.observation_parameters()]
        return TensorDataset(*parts, self.labels.detach().clone())

    def check_spaces(
        self, observation_space: Space, action_space: Space, holder: str = "environment", in_order: bool = False
    ) -> None:
        """
        :param observation_space: observation space of an environment or a policy
        :param action_space: its action space
        :param holder: word for whose spaces these are, for the message
        :param in_order: whether trained networks shall see these observations, so that the order of keys counts
        :raises DatasetError: if the dataset was made for other spaces
        """
        self.info.check_spaces(observation_space, action_space, holder, in_order)

    @th.no_grad()
    def clamp_(self) -> None:
        """Put the log-std and the learned numbers of the inner loop back into their bounds."""
        for name, bounds in self.inner_loop.bounds().items():
            self.learned[name].clamp_(*bounds)
        if self.log_std is not None:
            self.log_std.clamp_(*LOG_STD_BOUNDS)
        if self.log_input_scale is not None:
            self.log_input_scale.clamp_(*LOG_SCALE_BOUNDS)

    def is_finite(self) -> bool:
        """Whether all entries are finite."""
        return all(bool(value.isfinite().all()) for value in self.parameters())

    def save(self, path: str | os.PathLike[str]) -> None:
        """
        Write a safetensors file (no pickle). The file appears whole or not at all.

        :param path: where to; the folder is made if missing
        :raises ValueError: if it does not end in ``.safetensors``, or is a folder
        :raises OSError: with the path, if it cannot be written; a file that was there stays what it was
        """
        path = check_name(path)
        tensors = {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}
        # Single precision, as all tensors of a file but the statistics of observations; counters too.
        tensors |= {f"statistics.{name}": value.detach().cpu().float().contiguous() for name, value in self.statistics.items()}
        if self.info.normalization is not None:
            tensors |= flatten("obs_mean", self.info.normalization.mean) | flatten("obs_var", self.info.normalization.var)
        if (log_scale := tensors.pop("log_input_scale", None)) is not None:
            tensors["obs_scale"] = log_scale.double().exp()  # from which the parameter comes back to the last bit
        kinds = {} if self.encoder is None else {"encoder_kinds": self.encoder.kinds}
        write(path, tensors, {**self.info.to_json(), **kinds})

    @classmethod
    def load(cls, name_or_path: "str | os.PathLike[str]", device: th.device | str = "cpu") -> "SyntheticDataset":
        """
        :param name_or_path: a path, or the name of a shipped set: ``<env id>[/variant]``; a string that ends in
            ``.safetensors`` is a path
        :param device: where the tensors shall be
        :raises FileNotFoundError: if there is no such file or shipped set
        :raises DatasetError: if the file is damaged, of a newer format, or not consistent
        """
        path = find(name_or_path)
        try:
            return cls._from_file(*read(path)).to(device)
        except DatasetError as error:
            raise DatasetError(f"{path}: {error}") from error.__cause__
        except Exception as error:  # nothing of a file is trusted: what goes wrong with it is the file's fault
            raise DatasetError(f"{path} has malformed metadata: {shortened(error)}") from error

    @classmethod
    def of(cls, dataset: "DatasetLike") -> "SyntheticDataset":
        """
        :param dataset: a dataset, returned as it is, or what ``load`` takes
        :raises FileNotFoundError, DatasetError: see ``load``
        """
        return dataset if isinstance(dataset, SyntheticDataset) else cls.load(dataset)

    @classmethod
    def _from_file(cls, data: Json, tensors: dict[str, th.Tensor]) -> "SyntheticDataset":
        data = dict(data)
        check_info(data, tensors)
        kinds = data.pop("encoder_kinds", {})
        mean, var = unflatten("obs_mean", tensors), unflatten("obs_var", tensors)
        scale = tensors["obs_scale"].numpy() if "obs_scale" in tensors else None
        info = DatasetInfo.from_json(data, None if mean is None or var is None else (mean, var), scale)
        if info.inner_loop["name"] not in INNER_LOOPS:
            raise DatasetError(f"unknown inner loop {info.inner_loop['name']!r}; known are {', '.join(INNER_LOOPS)}")
        inner_loop = make_inner_loop(**info.inner_loop)
        initial = inner_loop.initial_parameters()
        observations, labels, log_std = checked_batch(tensors, info.observation_space, info.action_space)
        info.check_normalization()
        learned = {name: checked_tensor(tensors, name, tuple(value.shape)) for name, value in initial.items()}
        statistics, layers = below("statistics.", tensors), below("encoder.", tensors)
        if bool(layers) != bool(info.encoder_layers):
            raise DatasetError(
                f"the metadata speak of {info.encoder_layers} encoder layers, the file has {len(layers)} tensors"
            )
        encoder = Encoder(layers, info.encoder_layers, kinds) if layers else None
        dataset = cls(observations, labels, inner_loop, info, learned, log_std, statistics, encoder)
        expected = ("statistics.", "obs_mean", "obs_var", "obs_scale")
        unknown = [name for name in tensors if name not in dataset.state_dict() and not name.startswith(expected)]
        if unknown:
            raise DatasetError(f"unknown tensors {', '.join(sorted(unknown))}")
        return dataset


DatasetLike: TypeAlias = SyntheticDataset | str | os.PathLike[str]
"""A dataset, the path of one (``*.safetensors``), or the name of a shipped set."""
