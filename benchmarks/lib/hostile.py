"""Dataset files with a valid checksum and any content."""

import copy
import json
import random

import torch as th
from safetensors.torch import load

from sb3_distill.dataset.file import FORMAT, digest_of, pack
from sb3_distill.typing import Json

Tensors = dict[str, th.Tensor]

VALUES: tuple[object, ...] = (
    None, True, False, 0, 1, -1, 2, 255, 2**31, 2**31 - 1, 2**53, 2**63, 2**64, -(2**63), 10**30, 10**400, 0.5, -0.0,
    1e-320, 1e308, float("inf"), float("-inf"), float("nan"), "", "a", "0", "nan", "inf", "-1", "x" * 10_000, "\x00",
    "\x1b[31m", "[red]", "../../x", "/etc/passwd", "os:system", "evil:X-v0", "ü\ud800", [], [[]], [0], [-1], [10**6] * 4,
    [1] * 100, ["0"] * 1_000, {}, {"": {}},
    {"__tuple__": [2, [3]]}, {"__tuple__": 3}, {"__dict__": [[[], 1]]}, {"__dict__": [["a", 1], [2, 3]]}, {"__array__": [1]},
    {"__array__": ["a"] * 1_000, "dtype": "<U100000000", "shape": [1_000]}, {"__array__": [1], "dtype": "O", "shape": [1]},
    {"__array__": [1, 2], "dtype": "<i8", "shape": [2, 1]}, {"__array__": [1], "dtype": "<f8", "shape": [-1] * 60},
    {"class": "Linear"}, {"class": "Transformer"}, {"class": "__init__"}, {"type": "Dict", "spaces": {}}, {"type": "Box"},
)  # fmt: skip
"""Values that an attacker may put anywhere."""
SPACES: tuple[Json, ...] = (
    {"type": "Discrete", "n": 2**62, "start": 0},
    {"type": "Discrete", "n": 2, "start": 10**30},
    {"type": "MultiDiscrete", "nvec": [[2, 2], [2]]},
    {"type": "MultiDiscrete", "nvec": [2**40] * 3},
    {"type": "MultiBinary", "n": [10**5, 10**5]},
    {"type": "Box", "shape": [10**9], "dtype": "float32", "low": "0", "high": "1"},
    {"type": "Box", "shape": [4], "dtype": "U100000000", "low": "0", "high": "1"},
    {"type": "Box", "shape": [4], "dtype": "f4,f4", "low": "0", "high": "1"},
    {"type": "Box", "shape": [4], "dtype": "int8", "low": "-1000", "high": "1e9"},
    {"type": "Box", "shape": [4], "dtype": "float32", "low": "1", "high": "0"},
    {"type": "Box", "shape": [4], "dtype": "float32", "low": ["0" * 10_000] * 4, "high": "1"},
    {"type": "Dict", "spaces": {"a": {"type": "Discrete", "n": 3, "start": 0}, "forward": {"type": "MultiBinary", "n": 2}}},
    {"type": "Dict", "spaces": [["a", {"type": "Discrete", "n": 3, "start": 0}]]},
    {"type": "Tuple", "spaces": []},
)
"""Spaces that lie about their size, or are none."""


def unpacked(content: bytes) -> tuple[Tensors, Json]:
    """Tensors and metadata of a file."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return load(content), json.loads(header["__metadata__"]["info"])


def packed(tensors: Tensors, text: str, **header: str) -> bytes:
    """A file with a valid checksum; ``header`` replaces entries of its header."""
    text = text.encode("utf-8", "replace").decode()
    tensors = {name: value.clone() for name, value in tensors.items()}
    has_digest = all(value.dtype != th.bfloat16 for value in tensors.values())  # which NumPy does not know
    about = {"format": FORMAT, "format_version": "1", "sha256": digest_of(tensors, text) if has_digest else "", "info": text}
    return pack(tensors, about | header)


def metadata(tensors: Tensors, info: Json, rng: random.Random) -> tuple[Tensors, str]:
    """Tensors and metadata in which an attacker has changed a few things."""
    tensors, info = dict(tensors), copy.deepcopy(info)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        rng.choice((_any_value, _any_value, _any_value, _space, _network, _tensor, _nesting, _wrapper))(tensors, info, rng)
    text = json.dumps(info)
    if rng.random() < 0.02:
        text = rng.choice(
            ("", "null", "[]", '"x"', "{", "[" * 5_000 + "]" * 5_000, '{"a":' * 2_000 + "1" + "}" * 2_000, "NaN")
        )
    return tensors, text


def _value(rng: random.Random) -> object:
    return copy.deepcopy(rng.choice(VALUES))


def _any_value(tensors: Tensors, info: Json, rng: random.Random) -> None:
    """Something else at any place."""
    place: object = info
    while isinstance(place, (dict, list)) and place:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = rng.choice(keys)
        inner = place[key]  # type: ignore[index]
        if not isinstance(inner, (dict, list)) or not inner or rng.random() < 0.4:
            if rng.random() < 0.15:
                del place[key]  # type: ignore[arg-type]
            elif rng.random() < 0.1 and isinstance(place, dict):
                place[rng.choice(("x", "", "__class__", "self", "shape", "extra"))] = _value(rng)
            else:
                place[key] = _value(rng)  # type: ignore[index]
            return
        place = inner


def _space(tensors: Tensors, info: Json, rng: random.Random) -> None:
    info[rng.choice(("observation_space", "action_space"))] = copy.deepcopy(rng.choice(SPACES))


def _network(tensors: Tensors, info: Json, rng: random.Random) -> None:
    """A network or an inner loop that is too large, or none."""
    info["policy"] = rng.choice(("MlpPolicy", "CnnPolicy", "MultiInputPolicy", "x", None))
    name = rng.choice(("net_arch", "activation_fn", "features_extractor_class", "features_extractor_kwargs", "x"))
    large = ([10**9], [16_000] * 10, [1] * 10_000, {"pi": [10**9]}, {"pi": [-1], "vf": [2]}, {"features_dim": 10**9})
    info["policy_kwargs"] = {name: copy.deepcopy(rng.choice((_value(rng), *large)))}
    if rng.random() < 0.5:
        info["inner_loop"] = {"name": rng.choice(("sgd", "ridge", "x")), rng.choice(("n_steps", "x")): _value(rng)}


def _tensor(tensors: Tensors, info: Json, rng: random.Random) -> None:
    """A tensor of another shape, type or name, with other numbers, or none."""
    name = rng.choice(list(tensors))
    value = tensors[name]
    kind = rng.randrange(7)
    if kind == 0:
        del tensors[name]
    elif kind == 1:
        tensors[name] = value.reshape(-1)
    elif kind == 2:
        tensors[name] = value.to(rng.choice((th.float64, th.float16, th.bfloat16, th.int64, th.bool, th.uint8)))
    elif kind == 3:
        tensors[name] = th.full(value.shape, rng.choice((0.0, -1.0, 3e38, -3e38, 1e-45)))
    elif kind == 4:
        tensors[
            rng.choice(("encoder.forward", "encoder.a.b.c", "statistics.x", "obs_mean", "obs_scale", "x" * 2_000, "a.b"))
        ] = value
    elif kind == 5:
        tensors[name] = value[:0]
    else:
        tensors |= {f"encoder.{'a.' * rng.randrange(400)}b{i}": th.zeros(1) for i in range(rng.randrange(40))}


def _nesting(tensors: Tensors, info: Json, rng: random.Random) -> None:
    value: object = 0
    for _ in range(rng.choice((10, 60, 900))):
        value = [value] if rng.random() < 0.5 else {"a": value}
    info[rng.choice(list(info))] = value


def _wrapper(tensors: Tensors, info: Json, rng: random.Random) -> None:
    record = {"name": _value(rng), "entry_point": _value(rng), "kwargs": _value(rng)}
    info["env_kwargs"] = {"a": _value(rng)}
    info["wrappers"] = [{key: value for key, value in record.items() if rng.random() < 0.9}]
    info["env_id"] = _value(rng)
