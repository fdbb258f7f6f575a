"""A taught policy as a program of its own: ``torch.export`` and ONNX."""

import copy
import functools
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from torch.distributions import Distribution

from sb3_distill.dataset.normalization import Normalization
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.errors import ArgumentError, MissingExtraError, UnsupportedError
from sb3_distill.typing import Observations, Space
from sb3_distill.whole_files import write_whole

ENDINGS = (".onnx", ".pt2")
"""Endings of the files: ONNX, and a program of ``torch.export``."""
Axes: TypeAlias = "dict[int, th.export.Dim] | dict[str, dict[int, th.export.Dim]]"


class DeterministicAction(th.nn.Module):
    """
    What ``predict(observation, deterministic=True)`` does, in PyTorch from the first to the last step.

    :param policy: a policy that was taught, on the CPU
    :param dataset: what it was taught
    """

    def __init__(self, policy: BasePolicy, dataset: SyntheticDataset) -> None:
        super().__init__()
        self.policy = policy
        self.normalization = None if dataset.info.normalization is None else _Normalize(dataset.info.normalization)
        self.shape = policy.action_space.shape or ()
        self.is_box, self.is_squashed = isinstance(policy.action_space, spaces.Box), policy.squash_output
        if isinstance(policy.action_space, spaces.Box):
            self.register_buffer("low", th.as_tensor(policy.action_space.low))
            self.register_buffer("high", th.as_tensor(policy.action_space.high))

    def forward(self, observation: Observations) -> th.Tensor:
        """
        :param observation: a batch of raw observations ``(b, *obs)``, images with channels first; a dict for a ``Dict`` space
        :return: actions as the environment takes them ``(b, *action)``
        """
        if self.normalization is not None:
            observation = self.normalization(observation)
        action = self.policy._predict(observation, deterministic=True)  # type: ignore[arg-type]
        action = action.reshape(-1, *self.shape)
        if not self.is_box:
            return action
        low, high = self.get_buffer("low"), self.get_buffer("high")
        return low + 0.5 * (action + 1.0) * (high - low) if self.is_squashed else action.clamp(low, high)


class _Normalize(th.nn.Module):
    """``Normalization`` in PyTorch, in double precision as there."""

    def __init__(self, normalization: Normalization) -> None:
        super().__init__()
        mean, var = normalization.mean, normalization.var
        self.keys = list(mean) if isinstance(mean, dict) else [""]
        self.clip = normalization.clip
        for i, key in enumerate(self.keys):
            part = (mean[key], var[key]) if isinstance(mean, dict) and isinstance(var, dict) else (mean, var)
            self.register_buffer(f"mean_{i}", th.as_tensor(np.asarray(part[0], np.float64)))
            self.register_buffer(f"std_{i}", th.as_tensor(np.sqrt(np.asarray(part[1], np.float64) + normalization.epsilon)))
        scale = normalization.scale
        self.register_buffer("scale", None if scale is None else th.as_tensor(scale))

    def forward(self, observation: Observations) -> Observations:
        if isinstance(observation, th.Tensor):
            normalized = self._apply_to(observation, 0)
            return normalized if self.scale is None else normalized * self.get_buffer("scale")
        return {**observation, **{key: self._apply_to(observation[key], i) for i, key in enumerate(self.keys)}}

    def _apply_to(self, observation: th.Tensor, i: int) -> th.Tensor:
        scaled = (observation - self.get_buffer(f"mean_{i}")) / self.get_buffer(f"std_{i}")
        return scaled.clamp(-self.clip, self.clip).float()


def export(policy: BasePolicy, path: str | os.PathLike[str]) -> list[Path]:
    """
    :param policy: a ``DistilledPolicy``
    :param path: see ``DistilledPolicy.export``
    :return: paths of the files
    """
    path = Path(path)
    if path.suffix not in ("", *ENDINGS):
        raise ArgumentError(f"a program is called *{' or *'.join(ENDINGS)} (without an ending both are written), got {path}")
    paths = [path] if path.suffix else [path.with_name(f"{path.name}{ending}") for ending in ENDINGS]
    if not path.name or any(file.is_dir() for file in paths):
        raise ArgumentError(f"a program is a file, {path} is a folder: add a name")
    if ".onnx" in [file.suffix for file in paths]:
        _check_onnx()
    program = _program_of(policy)
    for file in paths:
        write = _write_onnx if file.suffix == ".onnx" else _write_program
        write_whole(file, functools.partial(write, program, policy.observation_space))
    return paths


def _check_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(f'ONNX needs more packages: pip install "sb3-distill[export]" ({error})') from error


def _program_of(policy: BasePolicy) -> th.export.ExportedProgram:
    """The deterministic action as a graph, for batches of any size."""
    dataset: SyntheticDataset = copy.deepcopy(getattr(policy, "dataset")).to("cpu")  # noqa: B009
    action = DeterministicAction(_copy_of(policy), dataset).eval().requires_grad_(False)
    batch = th.export.Dim("batch")
    example = _example(policy.observation_space)
    axes: Axes = {key: {0: batch} for key in example} if isinstance(example, Mapping) else {0: batch}
    try:
        with th.no_grad(), _quiet():
            return th.export.export(action, (example,), dynamic_shapes=(axes,), strict=False)
    except Exception as error:
        sentence = str(error).strip().split("\n")[0]
        raise UnsupportedError(f"the action of {type(policy).__name__} cannot be exported by PyTorch: {sentence}") from error


def _copy_of(policy: BasePolicy) -> BasePolicy:
    """A copy on the CPU. The noise of gSDE has a gradient, with which it cannot be copied; and no part in greedy actions."""
    owners = [getattr(owner, "action_dist", None) for owner in (policy, getattr(policy, "actor", None))]
    noises = [
        (owner, name, value)
        for owner in owners
        if owner is not None
        for name, value in vars(owner).items()
        if isinstance(value, (th.Tensor, Distribution))
    ]
    for owner, name, _ in noises:
        setattr(owner, name, None)
    try:
        return copy.deepcopy(policy).to("cpu")
    finally:
        for owner, name, value in noises:
            setattr(owner, name, value)


def _example(space: Space) -> Observations:
    """Two observations, from which PyTorch sees shapes and types."""
    if isinstance(space, spaces.Dict):
        return {key: _as_tensor(part) for key, part in space.spaces.items()}
    return _as_tensor(space)


def _as_tensor(space: Space) -> th.Tensor:
    return th.as_tensor(np.zeros((2, *(space.shape or ())), space.dtype))


def _write_program(program: th.export.ExportedProgram, space: Space, path: Path) -> None:
    with path.open("wb") as file:
        th.export.save(program, file)


def _write_onnx(program: th.export.ExportedProgram, space: Space, path: Path) -> None:
    names = list(space.spaces) if isinstance(space, spaces.Dict) else ["observation"]
    with _quiet():
        model = th.onnx.export(
            program, input_names=names, output_names=["action"], dynamo=True, external_data=False, verbose=False
        )
    assert model is not None
    model.save(path, external_data=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """
    PyTorch warns of its own ways in export; whoever exports can change nothing about them. And its distributions look at
    the values of their parameters, which a graph cannot.
    """
    validates, logger = Distribution._validate_args, logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it misses torchvision
    Distribution.set_default_validate_args(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Distribution.set_default_validate_args(validates)
        logger.setLevel(level)
