"""Files of an attacker, under a valid checksum. Each attack says in a line what it tries."""

import json
import os
import re
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch as th

from benchmarks.lib.hostile import packed, unpacked
from sb3_distill import DatasetError, SyntheticDataset, evaluate_learners, make_vec_env
from sb3_distill.dataset.allowed import ATARI, VEC_WRAPPERS, WRAPPERS
from sb3_distill.dataset.file import MAX_HEADER, find
from sb3_distill.environments.plugins import recorded_env_id
from sb3_distill.report.video import watch

GYMNASIUM, SB3 = "gymnasium.wrappers", "stable_baselines3.common"


def written(path, change=lambda info, tensors: None, text=None, base="CartPole-v1"):
    tensors, info = unpacked(find(base).read_bytes())
    change(info, tensors)
    path.write_bytes(packed(tensors, json.dumps(info) if text is None else text))
    return path


def says(**fields):
    return lambda info, tensors: info.update(fields)


def wears(name, entry_point, **kwargs):
    return says(wrappers=[{"name": name, "entry_point": entry_point, "kwargs": kwargs}])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "attack.safetensors"


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A module that leaves a mark when it is imported, in the folder of the file."""
    name = f"trap_{os.getpid()}_{tmp_path.name.replace('-', '_')}"
    registers = (
        "import gymnasium\ngymnasium.register('Trap-v0', 'gymnasium.envs.classic_control:CartPoleEnv', max_episode_steps=9)"
    )
    wrapper = "class Mirror(gymnasium.Wrapper):\n    def __init__(self, env, path=None): super().__init__(env)"
    mark = tmp_path / "mark"
    (tmp_path / f"{name}.py").write_text(f"open({str(mark)!r}, 'w').close()\n{registers}\n{wrapper}\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield name, mark
    sys.modules.pop(name, None)
    gym.registry.pop("Trap-v0", None)


UNLOADABLE = {
    "lists in lists until the stack of the parser ends": dict(text="[" * 100_000 + "]" * 100_000),
    "objects in objects, deeper than any code that walks them": dict(
        change=lambda info, _: info.update(scores=json.loads('{"a":' * 400 + "1" + "}" * 400))
    ),
    "metadata that are no object": dict(text='"x"'),
    "a whole number beyond all types": dict(change=says(timesteps=10**400)),
    "a space of 10^12 numbers": dict(
        change=says(observation_space={"type": "Box", "shape": [10**6, 10**6], "dtype": "float32", "low": "0", "high": "1"})
    ),
    "a negative number of actions": dict(change=says(action_space={"type": "Discrete", "n": -1, "start": 0})),
    "more actions than a label has entries": dict(change=says(action_space={"type": "Discrete", "n": 2**62, "start": 0})),
    "a product of sizes that overflows": dict(change=says(action_space={"type": "MultiBinary", "n": [2**32, 2**32]})),
    "a dtype of 400 MB strings": dict(
        change=says(observation_space={"type": "Box", "shape": [4], "dtype": "U100000000", "low": "0", "high": "1"})
    ),
    "a dtype of Python objects": dict(
        change=says(observation_space={"type": "Box", "shape": [4], "dtype": "O", "low": "0", "high": "1"})
    ),
    "a bound of a million digits": dict(
        change=says(observation_space={"type": "Box", "shape": [4], "dtype": "float32", "low": "0" * 10**6, "high": "1"})
    ),
    "steps of inner learning until tomorrow": dict(
        change=says(inner_loop={"name": "sgd", "n_steps": 10**12, "per_role": False, "relative": False})
    ),
    "no inner loop": dict(change=lambda info, _: info.pop("inner_loop")),
    "a layer of 10^9 units": dict(change=says(policy_kwargs={"net_arch": [10**9]})),
    "a hundred thousand layers": dict(change=says(policy_kwargs={"net_arch": [1] * 100_000})),
    "layers that are small one by one": dict(change=says(policy_kwargs={"net_arch": {"pi": [16_000] * 10, "vf": []}})),
    "a Transformer as an activation": dict(change=says(policy_kwargs={"activation_fn": {"class": "Transformer"}})),
    "kinds of layers that are no words": dict(change=says(encoder_kinds=[1])),
    "a wrapper without a name": dict(change=says(wrappers=[{"entry_point": "atari", "kwargs": {}}])),
    "an encoder whose names lead nowhere": dict(
        change=lambda info, tensors: (info.update(encoder_layers=1), tensors.update({"encoder.forward": th.zeros(1)}))
    ),
    "a name of a megabyte": dict(change=lambda info, tensors: tensors.update({"x" * 2**20: th.zeros(1)})),
    "an array of texts, each of 400 MB": dict(
        change=says(env_kwargs={"x": {"__array__": ["a"] * 1_000, "dtype": "<U100000000", "shape": [1_000]}})
    ),
    "an array of Python objects as an argument of a wrapper": dict(
        change=says(
            wrappers=[{"name": "W", "entry_point": "w:W", "kwargs": {"x": {"__array__": [1], "dtype": "O", "shape": [1]}}}]
        )
    ),
    "a key that no dict can have": dict(change=says(env_kwargs={"x": {"__dict__": [[[], 1]]}})),
    "twenty thousand tensors": dict(
        change=lambda info, tensors: tensors.update({f"x{i}": th.zeros(1) for i in range(20_000)})
    ),
}


@pytest.mark.parametrize("attack", UNLOADABLE)
def test_a_file_that_cannot_be_is_refused_by_its_name(path, attack):
    written(path, **UNLOADABLE[attack])
    with pytest.raises(DatasetError, match="attack.safetensors"):
        SyntheticDataset.load(path)


def test_a_header_that_is_longer_than_the_file_or_the_limit(path):
    content = find("CartPole-v1").read_bytes()
    for length in (len(content), 2**40, 2**64 - 1):
        path.write_bytes(length.to_bytes(8, "little") + content[8:])
        with pytest.raises(DatasetError, match=r"attack.safetensors: .* header would be"):
            SyntheticDataset.load(path)
    length = MAX_HEADER + 8
    path.write_bytes(length.to_bytes(8, "little") + b"[" * length)
    with pytest.raises(DatasetError, match=r"header is 10,000,008 bytes long, and 10,000,000 are allowed"):
        SyntheticDataset.load(path)


def use_each_way(path, **kwargs):
    yield lambda: make_vec_env(path, 1, **kwargs)
    yield lambda: evaluate_learners(path, 2, 1, **kwargs)
    yield lambda: watch(path, path.with_name("x.gif"), max_steps=2, **kwargs)


def test_an_id_that_imports_a_module_beside_the_file(path, trap):
    name, mark = trap
    written(path, says(env_id=f"{name}:Trap-v0"))
    for use in use_each_way(path):
        with pytest.raises(ValueError, match=f"a file imports no module: .* allow_imports=.'{name}'"):
            use()
    assert not mark.exists()
    assert name not in sys.modules
    assert evaluate_learners(path, 2, 1, max_envs=2, allow_imports=[name]).returns.shape == (2, 1)
    assert mark.exists()


def test_a_wrapper_of_a_module_beside_the_file(path, trap):
    name, mark = trap
    written(path, wears("Mirror", f"{name}:Mirror", path="/etc/passwd"))
    for use in use_each_way(path):
        with pytest.raises(ValueError, match=f"Mirror of {name}, which is not made from a file: .* allow_imports"):
            use()
    assert not mark.exists()
    make_vec_env(path, 1, allow_imports=[name]).close()


def test_a_module_that_is_not_there_and_a_text_in_place_of_a_list(path):
    written(path)
    with pytest.raises(ImportError, match="the module nothing_of_that_name cannot be imported"):
        make_vec_env(path, 1, allow_imports=["nothing_of_that_name"])
    with pytest.raises(ValueError, match="must be a list of names of modules"):
        make_vec_env(path, 1, allow_imports="gymnasium")


FILES = {
    "an overwritten monitor file": ("Monitor", f"{SB3}.monitor:Monitor", "filename"),
    "a new monitor file": ("VecMonitor", "vec_env", "filename"),
    "a folder of videos": ("RecordVideo", f"{GYMNASIUM}:RecordVideo", "video_folder"),
    "videos of a vector environment": ("VecVideoRecorder", "vec_env", "video_folder"),
    "videos of Gymnasium's vector environment": ("RecordVideo", f"{GYMNASIUM}.vector:RecordVideo", "video_folder"),
    "statistics by a pickle": ("VecNormalize", "vec_env", "load_path"),
    "a path as an argument of what is allowed": ("FilterObservation", f"{GYMNASIUM}:FilterObservation", "filter_keys"),
}


@pytest.mark.parametrize("attack", FILES)
def test_a_wrapper_that_writes_or_reads_a_file(path, attack, tmp_path):
    name, entry_point, argument = FILES[attack]
    target = tmp_path / "target" / "x.monitor.csv"
    written(path, wears(name, entry_point, **{argument: str(target)}))
    with pytest.raises(ValueError, match="not made from a file"):
        make_vec_env(path, 1)
    assert not target.parent.exists()


OTHERS = {
    "a function in place of a class": ("call", "gymnasium.envs.registration:register", {}),
    "a script that ends the program": ("W", "rl_zoo3.plots.plot_train:W", {}),
    "a vector environment as a wrapper": ("SubprocVecEnv", "vec_env", {}),
    "a stack that fills the memory": ("FrameStackObservation", f"{GYMNASIUM}:FrameStackObservation", {"stack_size": 10**9}),
    "images that fill the memory": ("ResizeObservation", f"{GYMNASIUM}:ResizeObservation", {"shape": [10**5, 10**5]}),
    "images that fill the memory, as a tuple": (
        "ResizeObservation",
        f"{GYMNASIUM}:ResizeObservation",
        {"shape": {"__tuple__": [10**5, 10**5]}},
    ),
    "a stack that fills the memory, as an array": (
        "FrameStackObservation",
        f"{GYMNASIUM}:FrameStackObservation",
        {"stack_size": {"__array__": [10**9], "dtype": "<i8", "shape": []}},
    ),
    "a size that is no number": (
        "ResizeObservation",
        f"{GYMNASIUM}:ResizeObservation",
        {"shape": [float("nan"), 10**9]},
    ),
    "a step that takes a year": ("MaxAndSkipEnv", f"{SB3}.atari_wrappers:MaxAndSkipEnv", {"skip": 10**12}),
    "an argument that is not on the list": ("FlattenObservation", f"{GYMNASIUM}:FlattenObservation", {"func": "eval"}),
    "options of ALE beside those of the list": ("AtariVecEnv", "atari", {"n_threads": 10**6}),
}


@pytest.mark.parametrize("attack", OTHERS)
def test_a_wrapper_that_is_none_of_the_list(path, attack):
    name, entry_point, kwargs = OTHERS[attack]
    written(path, wears(name, entry_point, **kwargs))
    with pytest.raises(ValueError, match="not made from a file"):
        make_vec_env(path, 1)


REPEAT = ("RepeatAction", f"{GYMNASIUM}:RepeatAction", {"num_repeats": 200})
TOGETHER = {
    "stacks of stacks, which fill the memory": [("VecFrameStack", "vec_env", {"n_stack": 500})] * 3,
    "repeats of repeats, so that a step takes hours": [REPEAT] * 4,
    "more wrappers than Python may nest": [("FlattenObservation", f"{GYMNASIUM}:FlattenObservation", {})] * 5_000,
}


@pytest.mark.parametrize("attack", TOGETHER)
def test_wrappers_that_are_too_large_together(path, attack):
    keys = ("name", "entry_point", "kwargs")
    written(path, says(wrappers=[dict(zip(keys, record, strict=True)) for record in TOGETHER[attack]]))
    with pytest.raises(ValueError, match="wrappers of the dataset together are too large, and not made from a file"):
        make_vec_env(path, 1)


BROKEN = {
    "a limit that is no number": ("TimeLimit", f"{GYMNASIUM}:TimeLimit", {"max_episode_steps": [1]}),
    "a wrapper without what it needs": ("TimeLimit", f"{GYMNASIUM}:TimeLimit", {}),
    "a negative stack": ("VecFrameStack", "vec_env", {"n_stack": -1}),
    "a wrapper for other observations": ("FilterObservation", f"{GYMNASIUM}:FilterObservation", {"filter_keys": ["x"]}),
}


@pytest.mark.parametrize("attack", BROKEN)
def test_a_wrapper_that_cannot_be_made_as_the_file_says(path, attack):
    name, entry_point, kwargs = BROKEN[attack]
    written(path, wears(name, entry_point, **kwargs))
    with pytest.raises(DatasetError, match=f"was recorded with .* in .*{name}.* and cannot be made so"):
        make_vec_env(path, 1)


ARGUMENTS = {
    "a window on the screen": dict(render_mode="human"),
    "a model of simulators anywhere on the disk": dict(xml_file="/etc/passwd"),
    "a model in this folder": dict(xml_file="evil.xml"),
    "a file of the user's home": dict(path="~"),
}


@pytest.mark.parametrize("attack", ARGUMENTS)
def test_an_argument_of_the_environment_that_is_a_path(path, attack):
    written(path, says(env_kwargs=ARGUMENTS[attack]))
    with pytest.raises(ValueError, match=r"not made from a file: .* allow_imports=\['gymnasium.envs.classic_control"):
        make_vec_env(path, 1)
    info = SyntheticDataset.load(path).info
    assert recorded_env_id(info, allow_imports=["gymnasium.envs"]) == "CartPole-v1"
    assert recorded_env_id(info, overridden=info.env_kwargs) == "CartPole-v1"


def test_an_environment_that_makes_any_other(path):
    """Shimmy's, which hand their argument to the old Gym, which imports it."""
    written(path, says(env_id="GymV26Environment-v0", env_kwargs={"env_id": "os:system"}))
    with pytest.raises(ValueError, match="which imports what its arguments say"):
        make_vec_env(path, 1)


def test_an_environment_that_nobody_registered(path):
    written(path, says(env_id="OfSomebody-v0"))
    for use in use_each_way(path):
        with pytest.raises(ValueError, match=r"allow_imports=\[...\] \(on the command line --gym-packages\)"):
            use()


def test_what_is_sound_still_loads():
    env = make_vec_env("CartPole-v1", 2)
    assert np.asarray(env.reset()).shape == (2, 4)


def test_the_page_on_the_format_has_the_list_of_what_a_file_may_name():
    page = (Path(__file__).parents[2] / "docs" / "file_format.md").read_text()
    for module, wrappers in WRAPPERS.items():
        (row,) = re.findall(rf"^\| `{module}` \| (.*) \|$", page, re.MULTILINE)
        assert row == ", ".join(f"`{name}`" for name in wrappers)
    assert all(f"`{name}`" in page for name in (*VEC_WRAPPERS, *ATARI))
