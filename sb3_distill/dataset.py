"""The synthetic dataset: what is learned, and its file."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import gymnasium as gym
import safetensors
import torch as th
from gymnasium import spaces
from safetensors.torch import save
from torch import nn
from torch.utils.data import TensorDataset

from sb3_distill.dataset_info import DatasetInfo, Normalization, Statistics
from sb3_distill.encoder import Encoder
from sb3_distill.inner_loop import INNER_LOOPS, InnerLoop, make_inner_loop, train
from sb3_distill.learners import Learners
from sb3_distill.spaces import Json, difference, n_outputs, preprocessed_shape
from sb3_distill.wrappers import hint

FORMAT = "sb3-distill/dataset"
FORMAT_VERSION = 1
LOG_STD_BOUNDS = (-3.0, 2.0)
"""Bounds of a learned log-std: unbounded, exploration collapses before the task is solved."""


LOG_SCALE_BOUNDS = (-4.0, 2.0)
"""Bounds of the logarithm of the learned weights of observations."""


class DatasetError(ValueError):
    """A dataset file that cannot be used; the message says why."""


class SyntheticDataset(nn.Module):
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

    labels: nn.Parameter

    def __init__(
        self,
        observations: th.Tensor | Mapping[str, th.Tensor],
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
            self.observations: Any = nn.ParameterDict({key: nn.Parameter(value) for key, value in observations.items()})
        else:
            self.observations = nn.Parameter(observations)
        self.labels = nn.Parameter(labels)
        learned = inner_loop.initial_parameters() if learned is None else learned
        self._learned_names = list(learned)
        for name, value in learned.items():
            self.register_parameter(name, nn.Parameter(value))
        self.log_std = None if log_std is None else nn.Parameter(log_std)
        self.encoder = encoder
        scale = info.normalization.scale if isinstance(info.normalization, Normalization) else None
        self.log_input_scale = None if scale is None else nn.Parameter(th.as_tensor(scale).log())

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        # Statistics are shared with networks, so they are no buffers; but they move to another device too.
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.statistics = {name: fn(value) for name, value in self.statistics.items()}
        return self

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

    def encode(self, encoder: Callable[[Any], th.Tensor] | None = None) -> Any:
        """
        :param encoder: the function that ``Encoder.bind`` returns; ``None`` for no encoder
        :return: the synthetic observations, encoded (without an encoder a plain dict for ``Dict`` spaces)
        """
        plain = dict(self.observations) if isinstance(self.observations, nn.ParameterDict) else self.observations
        return plain if encoder is None else encoder(plain)

    def teach(self, learners: Learners, labels: th.Tensor | None = None) -> Learners:
        """
        Lines 3 and 12 of Algorithm 1.

        :param learners: initial learners; they are not changed
        :param labels: other ones than the dataset's own, of the same shape
        :return: trained learners, differentiable with respect to this dataset unless gradients are switched off
        """
        if self.encoder is not None:
            assert isinstance(learners.encoder, nn.Module), "learners of a dataset with an encoder bring its layers along"
            learners = Learners(learners.groups, self.encoder.bind(learners.encoder), learners.n_learners)
            if not learners.groups:  # the encoder is all, there is nothing to teach
                return learners
        labels = self.labels if labels is None else labels
        return train(self.inner_loop, learners, self.encode(learners.encoder), labels, self.learned)

    def to_torch(self) -> TensorDataset:
        """
        For a training loop of one's own, with the mean squared error as its loss.

        :return: ``(observations, labels)`` of each instance, copied; the parts of a ``Dict`` observation in the order of its
            keys. They live where the network sees them, see ``DatasetInfo.normalization``
        """
        parts = [value.detach().clone() for value in self.observation_parameters()]
        return TensorDataset(*parts, self.labels.detach().clone())

    def check_spaces(
        self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any], holder: str = "environment"
    ) -> None:
        """
        :param observation_space: of an environment or a policy
        :param action_space: of an environment or a policy
        :param holder: whose spaces they are, for the message
        :raises DatasetError: if the dataset was made for other spaces
        """
        own = (self.info.observation_space, self.info.action_space)
        if (found := difference(own, (observation_space, action_space))) is None:
            return
        name, wanted, given = found
        advice = f"; {hint(self.info.wrappers)}" if self.info.wrappers else _other_version(self.info.env_id)
        raise DatasetError(
            f"the dataset was made for {name} space {wanted}, the {holder} has {given}"
            + (advice if name == "observation" else "")
        )

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
        :raises OSError: if its folder cannot be made
        """
        path = check_path(path)
        tensors = {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}
        tensors |= {f"statistics.{name}": value.detach().cpu().contiguous() for name, value in self.statistics.items()}
        if self.info.normalization is not None:
            tensors |= _flatten("obs_mean", self.info.normalization.mean) | _flatten("obs_var", self.info.normalization.var)
        if tensors.pop("log_input_scale", None) is not None:
            tensors["obs_scale"] = self.input_scale.detach().cpu()
        own = {} if self.encoder is None else {"encoder_kinds": self.encoder.kinds}
        info = json.dumps({**self.info.to_json(), **own}, sort_keys=True)
        metadata = {
            "format": FORMAT,
            "format_version": str(FORMAT_VERSION),
            "sha256": _digest(tensors, info),
            "info": info,
        }
        scratch = path.with_name(path.name + ".part")
        scratch.write_bytes(save(tensors, metadata))
        os.replace(scratch, path)

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
        metadata, tensors = _read(path)
        if metadata.get("format") != FORMAT:
            raise DatasetError(f"{path} is a safetensors file, but not one of sb3-distill")
        try:
            version = int(metadata["format_version"])
        except (KeyError, ValueError):
            raise DatasetError(f"{path} does not say its format version") from None
        if version < 1:
            raise DatasetError(f"{path} has format version {version}")
        if version > FORMAT_VERSION:
            raise DatasetError(
                f"{path} has format version {version}, this sb3-distill reads up to {FORMAT_VERSION}: upgrade sb3-distill"
            )
        if metadata.get("sha256") != _digest(tensors, metadata.get("info", "")):
            raise DatasetError(f"{path} is damaged: its contents do not match their checksum")
        for name, value in tensors.items():
            if value.dtype != th.float32 and not name.startswith("obs_"):
                raise DatasetError(f"{path}: `{name}` has dtype {value.dtype}, expected torch.float32")
            if not value.isfinite().all():
                raise DatasetError(f"{path}: `{name}` contains NaN or infinite values")
        try:
            return cls._from_file(json.loads(metadata["info"]), tensors).to(device)
        except DatasetError as error:
            raise DatasetError(f"{path}: {error}") from None
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"{path} has malformed metadata: {error!r}") from error

    @classmethod
    def _from_file(cls, data: Json, tensors: dict[str, th.Tensor]) -> "SyntheticDataset":
        data = dict(data)
        kinds = data.pop("encoder_kinds", {})
        mean, var = _unflatten("obs_mean", tensors), _unflatten("obs_var", tensors)
        scale = tensors["obs_scale"].numpy() if "obs_scale" in tensors else None
        info = DatasetInfo.from_json(data, None if mean is None or var is None else (mean, var), scale)
        if info.inner_loop["name"] not in INNER_LOOPS:
            raise DatasetError(f"unknown inner loop {info.inner_loop['name']!r}; known are {', '.join(INNER_LOOPS)}")
        inner_loop = make_inner_loop(**info.inner_loop)
        initial = inner_loop.initial_parameters()
        width, shape = n_outputs(info.action_space), preprocessed_shape(info.observation_space)
        labels = _take(tensors, "labels", (None, width))
        k = labels.shape[0]
        if k < 1:
            raise DatasetError("`labels` has no instances")
        if ("log_std" in tensors) != isinstance(info.action_space, spaces.Box):
            raise DatasetError("`log_std` must be there for a Box action space, and for no other")
        _check_normalization(info)
        if isinstance(shape, dict):
            observations: Any = {key: _take(tensors, f"observations.{key}", (k, *shape[key])) for key in shape}
        else:
            observations = _take(tensors, "observations", (k, *shape))
        learned = {name: _take(tensors, name, tuple(value.shape)) for name, value in initial.items()}
        log_std = _take(tensors, "log_std", (width,)) if "log_std" in tensors else None
        prefix = "statistics."
        statistics = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        prefix = "encoder."
        layers = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
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


def _other_version(env_id: str | None) -> str:
    """Advice for an id of a task that Gymnasium has in several versions."""
    name = env_id and env_id.rpartition("-v")[0]
    several = bool(name) and sum(known.rpartition("-v")[0] == name for known in gym.registry) > 1
    return f"; it was made on {env_id}, and versions of a task may show different observations" if several else ""


def check_path(path: str | os.PathLike[str]) -> Path:
    """
    Whether a dataset can be written there; what takes long asks before.

    :param path: of a file; its folder is made if missing
    :return: the path
    :raises ValueError: if it does not end in ``.safetensors``, or is a folder
    :raises OSError: if its folder cannot be made
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"a dataset file must be called *.safetensors, got {path}")
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a dataset file")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def shipped_sets() -> list[str]:
    """Names of the sets that come with the package."""
    folder = resources.files("sb3_distill.datasets")
    names = [entry.name for entry in folder.iterdir() if entry.name.endswith(".safetensors")]
    names = [name.removesuffix(".safetensors").replace("--", "/") for name in names]
    return sorted(names, key=lambda name: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)])


def find(name_or_path: str | os.PathLike[str]) -> Path:
    """
    :param name_or_path: a path or the name of a shipped set, see ``SyntheticDataset.load``
    :return: the path of the file
    :raises FileNotFoundError: if there is none
    """
    if isinstance(name_or_path, str) and not name_or_path.endswith(".safetensors"):
        path = Path(str(resources.files("sb3_distill.datasets"))) / f"{name_or_path.replace('/', '--')}.safetensors"
        if not path.is_file():
            raise FileNotFoundError(
                f"no shipped dataset is called {name_or_path!r} (a path must end in .safetensors); "
                f"shipped are {', '.join(shipped_sets()) or 'none'}"
            )
        return path
    path = Path(name_or_path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no dataset file {path}")
    return path


def _read(path: Path) -> tuple[dict[str, str], dict[str, th.Tensor]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}
    except (safetensors.SafetensorError, OSError) as error:
        raise DatasetError(f"{path} is not a readable safetensors file (truncated, damaged or renamed): {error}") from error


def _digest(tensors: Mapping[str, th.Tensor], info: str) -> str:
    sha = hashlib.sha256(info.encode())
    for name in sorted(tensors):
        value = tensors[name]
        sha.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        sha.update(value.contiguous().numpy().tobytes())
    return sha.hexdigest()


def _check_normalization(info: DatasetInfo) -> None:
    normalization, space = info.normalization, info.observation_space
    if normalization is None:
        return
    if not isinstance(normalization, Normalization):
        raise DatasetError("the metadata speak of a normalisation, but `obs_mean` or `obs_var` is missing")
    if normalization.scale is not None and not (normalization.scale > 0).all():
        raise DatasetError("`obs_scale` has entries that are not positive")
    arrays: list[tuple[str, Any]] = [("obs_mean", normalization.mean), ("obs_var", normalization.var)]
    arrays += [] if normalization.scale is None else [("obs_scale", normalization.scale)]
    for name, values in arrays:
        for key, array in values.items() if isinstance(values, dict) else [(None, values)]:
            shape = space.shape if key is None else space[key].shape  # type: ignore[index]
            if array.shape != shape:
                raise DatasetError(f"`{name}` has shape {array.shape}, the observations have {shape}")
            if name == "obs_var" and (array < 0).any():
                raise DatasetError("`obs_var` has negative entries")


def _take(tensors: Mapping[str, th.Tensor], name: str, shape: tuple[int | None, ...]) -> th.Tensor:
    if name not in tensors:
        raise DatasetError(f"`{name}` is missing")
    found = tuple(tensors[name].shape)
    if len(found) != len(shape) or any(want not in (None, got) for want, got in zip(shape, found, strict=True)):
        wanted = tuple("k" if size is None else size for size in shape)
        raise DatasetError(f"`{name}` has shape {found}, expected {wanted}")
    return tensors[name]


def _flatten(name: str, statistics: Statistics) -> dict[str, th.Tensor]:
    if isinstance(statistics, dict):
        return {f"{name}.{key}": th.as_tensor(value) for key, value in statistics.items()}
    return {name: th.as_tensor(statistics)}


def _unflatten(name: str, tensors: Mapping[str, th.Tensor]) -> Statistics | None:
    if name in tensors:
        return tensors[name].numpy()
    found = {key.removeprefix(f"{name}."): value.numpy() for key, value in tensors.items() if key.startswith(f"{name}.")}
    return found or None
