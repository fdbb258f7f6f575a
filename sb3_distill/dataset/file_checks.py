"""
What the metadata of a file must look like, checked before anything is made of them.

Nothing of a file is trusted: sizes are compared with the tensors, which are as long as the file is, before memory is taken.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch as th
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from sb3_distill.errors import DatasetError
from sb3_distill.networks.policy_kwargs import policy_kwargs_from_json
from sb3_distill.spaces.values import decode
from sb3_distill.typing import Json

KINDS: dict[str, tuple[type, ...]] = {
    "observation_space": (dict,),
    "action_space": (dict,),
    "env_id": (str, type(None)),
    "env_kwargs": (dict,),
    "wrappers": (list,),
    "policy": (str, type(None)),
    "policy_kwargs": (dict,),
    "learner_distribution": (list,),
    "inner_loop": (dict,),
    "encoder_layers": (int,),
    "loss": (str,),
    "seed": (int, type(None)),
    "timesteps": (int,),
    "scores": (dict,),
    "normalization": (dict, type(None)),
    "return_variance": (int, float, type(None)),
    "versions": (dict,),
    "module": (str, type(None)),
    "arguments": (dict,),
    "data": (dict,),
    "encoder_kinds": (dict,),
}
"""Kinds of JSON values by field."""
REQUIRED = ("observation_space", "action_space", "inner_loop")
MAX_NUMBER = 2**63
"""Bound of whole numbers, as PyTorch and NumPy have it."""
MAX_DEPTH = 50
"""Bound of objects and lists inside each other."""
MAX_LAYERS, MAX_WIDTH, MAX_WEIGHTS = 1_000, 16_384, 2**26
"""Bounds of the network that a file names: hidden layers, units of one, and weights between them (256 MiB)."""
MAX_DIGITS = 40
"""Bound of the characters of a number."""
MAX_SPACES = 10_000
"""Bound of the spaces inside a space."""


class FileKind(NamedTuple):
    """
    What a file of this package holds.

    :param word: noun, for messages
    :param format: text by which the kind is recognised
    :param version: newest version of the format
    :param types: types of tensors by the beginning of their names, the first that fits
    """

    word: str
    format: str
    version: int
    types: Mapping[str, tuple[str, ...]]

    @property
    def with_article(self) -> str:
        """The noun with its article."""
        return _with_article(self.word)


def _with_article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def check_kind(name: object, kind: FileKind) -> None:
    """
    :param name: format that a file names
    :param kind: kind that is needed
    :raises DatasetError: for a file of another kind of this package
    """
    family, _, word = str(name).partition("/")
    if name != kind.format and family == kind.format.partition("/")[0] and word.isalpha() and len(word) < 20:
        raise DatasetError(f"it is a safetensors file, but {_with_article(word)} of it, not {kind.with_article}")


def check_version(text: object, kind: FileKind) -> None:
    """
    :param text: version that a file names
    :param kind: kind of the file
    :raises DatasetError: for no version, or a newer one
    """
    if not isinstance(text, str) or not text.isascii() or not text.removeprefix("-").isdigit() or len(text) > 9:
        raise DatasetError("it does not say its format version")
    if (version := int(text)) < 1:
        raise DatasetError(f"it has format version {version}")
    if version > kind.version:
        raise DatasetError(
            f"it has format version {version}, this sb3-distill reads up to {kind.version}: upgrade sb3-distill"
        )


def check_info(
    info: Json, tensors: Mapping[str, th.Tensor], required: Sequence[str] = REQUIRED, smallest_bound: int = 0
) -> None:
    """
    :param info: metadata of a file
    :param tensors: its tensors
    :param required: fields that must be there
    :param smallest_bound: so many numbers a space may have, however few the tensors have
    :raises DatasetError: if a field is missing or malformed, or speaks of more than the tensors hold
    """
    if missing := [name for name in required if name not in info]:
        raise DatasetError(f"malformed metadata: `{missing[0]}` is missing")
    for name, value in info.items():
        kinds = KINDS.get(name)
        if kinds is not None and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
            raise DatasetError(f"malformed metadata: `{name}` is {shortened(value)}")
        check_plain(name, value)
    for record in info.get("wrappers", []):
        _check_record(record)
    for arguments in (info.get("env_kwargs", {}), *(record["kwargs"] or {} for record in info.get("wrappers", []))):
        decode(arguments)
    if "labels" in tensors and tensors["labels"].numel() == 0:
        raise DatasetError("`labels` has no instances")
    n_numbers = sum(value.numel() for value in tensors.values())
    for name in ("observation_space", "action_space"):
        if (size := _size_of_space(info[name], [0])) > max(n_numbers, smallest_bound):
            raise DatasetError(f"`{name}` has {shortened(size)} numbers, the tensors of the file have {n_numbers:,}")
    if "inner_loop" in info:
        _check_inner_loop(info["inner_loop"], n_numbers)
    check_network(info.get("policy_kwargs", {}))
    for name in ("encoder_layers", "timesteps"):
        if info.get(name, 0) < 0:
            raise DatasetError(f"malformed metadata: `{name}` is {info[name]}")
    for kind in info.get("encoder_kinds", {}).values():
        if not isinstance(kind, str):
            raise DatasetError(f"malformed metadata: `encoder_kinds` names {shortened(kind)}")


def shortened(value: object) -> str:
    """A value in words, of at most 100 characters."""
    if isinstance(value, int) and abs(value) >= MAX_NUMBER:
        return "a number beyond 2**63"
    text = repr(value)[:1_000]
    return text if len(text) <= 100 else f"{text[:97]}..."


def check_plain(name: str, value: object, depth: int = 0) -> None:
    """
    Refuse what only looks like data: nesting without end, and numbers that no library takes.

    :param name: name of a field of a file
    :param value: its value
    :param depth: how many lists it is inside of
    :raises DatasetError: for such a value
    """
    if depth > MAX_DEPTH:
        raise DatasetError(f"malformed metadata: `{name}` has more than {MAX_DEPTH} lists inside each other")
    if isinstance(value, int) and not -MAX_NUMBER <= value < 2 * MAX_NUMBER:
        raise DatasetError(f"malformed metadata: `{name}` has a number beyond 2**63")
    if isinstance(value, (dict, list)):
        for entry in value.values() if isinstance(value, dict) else value:
            if entry.__class__ is not str:
                check_plain(name, entry, depth + 1)


def _check_record(record: object) -> None:
    texts = isinstance(record, dict) and all(isinstance(record.get(key), str) for key in ("name", "entry_point"))
    if not (
        texts and isinstance(record, dict) and isinstance(record.get("kwargs"), (dict, type(None))) and "kwargs" in record
    ):
        raise DatasetError(f"malformed metadata: `wrappers` has the record {shortened(record)}")


def _size_of_space(space: object, seen: list[int]) -> int:
    """How many numbers an observation or a label has as the network sees it, at least."""
    seen[0] += 1
    if seen[0] > MAX_SPACES:
        raise DatasetError(f"a space of more than {MAX_SPACES:,} spaces")
    if not isinstance(space, dict) or not isinstance(space.get("type"), str):
        raise DatasetError(f"malformed metadata: {shortened(space)} is no space")
    kind = space["type"]
    if kind == "Box":
        _check_dtype(space.get("dtype"))
        size = math.prod(_sizes(space.get("shape"), 0))
        for end in ("low", "high"):
            _check_bounds(list(_leaves(space.get(end))), size)
        return size
    if kind == "Discrete":
        return math.prod(_sizes([space.get("n")]))
    if kind == "MultiDiscrete":
        return sum(_sizes(list(_leaves(space.get("nvec")))))
    if kind == "MultiBinary":
        n = space.get("n")
        return math.prod(_sizes(n if isinstance(n, list) else [n]))
    if kind == "Dict":
        parts = space.get("spaces")
        if isinstance(parts, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in parts):
            parts = {str(key): part for key, part in parts}
        if not isinstance(parts, dict):
            raise DatasetError(f"malformed metadata: {shortened(space)} is no space")
        return sum(_size_of_space(part, seen) for part in parts.values())
    raise DatasetError(f"malformed metadata: unknown kind of space {shortened(kind)}")


def _sizes(values: object, lowest: int = 1) -> Sequence[int]:
    """Sizes of a space, none of which may be negative."""
    if not isinstance(values, list) or any(not isinstance(n, int) or isinstance(n, bool) or n < lowest for n in values):
        raise DatasetError(f"malformed metadata: {shortened(values)} are no sizes of a space")
    if len(values) > 32 and lowest == 0:  # NumPy's bound of dimensions
        raise DatasetError(f"malformed metadata: a space of {len(values):,} dimensions")
    return values


def _check_bounds(bounds: Sequence[object], size: int) -> None:
    if len(bounds) > max(size, 1) or any(isinstance(bound, str) and len(bound) > MAX_DIGITS for bound in bounds):
        raise DatasetError(f"malformed metadata: a Box of {size:,} numbers has {len(bounds):,} bounds, {shortened(bounds)}")


def _check_dtype(name: object) -> None:
    try:
        dtype = np.dtype(name) if isinstance(name, str) and len(name) < 20 else None
    except (TypeError, ValueError):
        dtype = None
    if dtype is None or dtype.kind not in "biuf":
        raise DatasetError(f"malformed metadata: {shortened(name)} is no dtype of a space")


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, list):
        for entry in value:
            yield from _leaves(entry)
    else:
        yield value


def _check_inner_loop(settings: Json, n_numbers: int) -> None:
    if not isinstance(settings.get("name"), str):
        raise DatasetError(f"malformed metadata: `inner_loop` is {shortened(settings)}")
    for name, value in settings.items():
        if isinstance(value, int) and not isinstance(value, bool) and value > n_numbers:
            raise DatasetError(f"`{name}` of the inner loop is {shortened(value)}, the file has {n_numbers:,} numbers")


def check_network(policy_kwargs: Json) -> None:
    """
    A network is not part of the file, so that its size is bounded as such.

    :param policy_kwargs: arguments of a policy, as a file has them
    :raises DatasetError: if they ask for too large a network, or name what is no part of one
    """
    for key, value in policy_kwargs.items():
        arch = value if isinstance(value, dict) and key == "net_arch" else {key: value}
        for part in arch.values():
            widths = list(_leaves(list(part.values()) if isinstance(part, dict) else part))
            numbers = [n for n in widths if isinstance(n, (int, float)) and not isinstance(n, bool)]
            if len(widths) > MAX_LAYERS or any(not n <= MAX_WIDTH for n in numbers):
                raise DatasetError(f"malformed metadata: `{key}` of the policy is {shortened(value)}")
            if sum(a * b for a, b in itertools.pairwise(numbers)) > MAX_WEIGHTS:
                raise DatasetError(f"`{key}` of the policy asks for more than {MAX_WEIGHTS:,} weights: {shortened(value)}")
    try:
        classes = policy_kwargs_from_json(policy_kwargs)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"malformed metadata: {shortened(str(error))}") from error
    activation, extractor = (
        classes.get("activation_fn", nn.Tanh),
        classes.get("features_extractor_class", BaseFeaturesExtractor),
    )
    if not isinstance(activation, type) or activation.__name__ not in (*nn.modules.activation.__all__, "Identity"):
        raise DatasetError(f"malformed metadata: `activation_fn` of the policy is {shortened(activation)}")
    if not isinstance(extractor, type) or not issubclass(extractor, BaseFeaturesExtractor):
        raise DatasetError(f"malformed metadata: `features_extractor_class` of the policy is {shortened(extractor)}")
