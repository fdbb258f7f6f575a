"""The structure of the package: rooms in layers, small files, small folders."""

import ast
import importlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "sb3_distill"
LAYERS = [
    ["typing", "errors"],
    ["trees", "whole_files", "arguments"],
    ["spaces"],
    ["networks"],
    ["learners"],
    ["inner_loop"],
    ["dataset"],
    ["outer_loop", "environments"],
    ["teaching"],
    ["online", "evaluation"],
    ["ppmo"],
    ["dagger", "report", "supervised"],
    ["rollback", "generalisation", "offline"],
    ["ensemble", "landscape"],
    ["search"],
    ["zoo_configs"],
    ["cli"],
    ["__main__"],
]
"""Rooms from the ground up: a room imports from rooms of lower layers, and from its own files."""
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}


def module_of(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_shim(path):
    """A docstring, and imports of everything."""
    body = ast.parse(path.read_text()).body
    stars = [isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in body[1:]]
    return bool(stars) and all(stars)


MODULES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
ROOMS = {name: path for name, path in MODULES.items() if not is_shim(path)}


def room_of(module):
    return module.split(".")[1] if "." in module else ""


def imports_of(path):
    """Modules of this package that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} has a relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
    return {name for name in found if name.split(".")[0] == "sb3_distill"}


def test_every_room_has_a_layer():
    assert {room_of(name) for name in ROOMS} - {""} == set(RANK)


@pytest.mark.parametrize("name", [name for name in ROOMS if room_of(name)])
def test_no_import_goes_upward(name):
    for imported in imports_of(ROOMS[name]):
        assert imported in ROOMS, f"{name} imports {imported} by its old name"
        here, there = room_of(name), room_of(imported)
        assert here == there or RANK[there] < RANK[here], f"{name} imports {imported}"


def test_no_circle_of_imports():
    edges = {name: imports_of(path) - {name} for name, path in ROOMS.items()}
    edges = {name: {other for other in found if other in ROOMS} for name, found in edges.items()}
    done, open_ = set(), []

    def visit(name):
        assert name not in open_, f"a circle: {' -> '.join([*open_[open_.index(name) :], name])}"
        if name in done:
            return
        open_.append(name)
        for other in sorted(edges[name]):
            visit(other)
        open_.pop()
        done.add(name)

    for name in sorted(set(ROOMS) - {"sb3_distill"}):  # the face imports when a name is asked for
        visit(name)


def test_files_are_small():
    assert {name: n for name, path in MODULES.items() if (n := len(path.read_text().splitlines())) > 300} == {}


def test_folders_are_small():
    counted = [path for name, path in ROOMS.items() if path.name not in ("__init__.py", "__main__.py")]
    sizes = {}
    for path in counted:
        sizes[path.parent] = sizes.get(path.parent, 0) + 1
    assert {folder: n for folder, n in sizes.items() if n > 10} == {}


PICKLED = {
    "dataset": ["SyntheticDataset"],
    "dataset_info": ["DatasetInfo", "Normalization"],
    "encoder": ["Encoder"],
    "inner_loop": ["GradientSteps"],
    "learner_component": ["LearnerComponent"],
    "learner_distribution": ["LearnerDistribution"],
    "ppmo.buffers": ["LearnerRolloutBuffer", "DictLearnerRolloutBuffer"],
    "ridge_head": ["RidgeHead"],
    # since the rooms:
    "dataset.info": ["DatasetInfo"],
    "dataset.normalization": ["Normalization"],
    "dataset.synthetic_dataset": ["SyntheticDataset"],
    "inner_loop.gradient_steps": ["GradientSteps"],
    "inner_loop.ridge_head": ["RidgeHead"],
    "learners.component": ["LearnerComponent"],
    "learners.distribution": ["LearnerDistribution"],
    "networks.encoder": ["Encoder"],
    "online.buffers": ["LearnerRolloutBuffer", "DictLearnerRolloutBuffer"],
    "outer_loop.settings": ["Settings"],
}
"""Classes that model zips name by module: these paths stay for ever."""


@pytest.mark.parametrize("module", PICKLED)
def test_what_zips_name_stays_where_it_is(module):
    for name in PICKLED[module]:
        assert isinstance(getattr(importlib.import_module(f"sb3_distill.{module}"), name), type)


def test_old_paths_have_what_they_had():
    from sb3_distill.vec_env import as_vec_env, env_origin, import_plugin, is_cheap, make_native, make_vec_env

    assert all((as_vec_env, env_origin, import_plugin, is_cheap, make_native, make_vec_env))
