"""
Files through all that happens to them, in any order: sets, models and runs are made, saved, saved over, loaded, resumed,
renamed, removed, and read while they are written. A dict says what is in the folder.
"""

import os
import shutil
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch as th
from helpers import SMALL, simplex_dataset
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from sb3_distill import PPMO, SyntheticDataset, make_vec_env, whole_files
from sb3_distill.rollback import resume
from sb3_distill.rollback.checkpoints import save

NAMES = st.sampled_from(["a.safetensors", "b.safetensors", "a.zip", "b.zip", "a", "b"])
"""Sets, models and runs."""


def environment():
    return make_vec_env("NDCartPole1D-v0", 8, seed=0)


class Files(RuleBasedStateMachine):
    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp())
        self.files = {}
        """What was written last by name: steps, and the labels of the set."""
        self.n_made = 0
        self.make()

    def teardown(self):
        shutil.rmtree(self.folder)

    @rule()
    def make(self):
        self.n_made += 1
        self.set = simplex_dataset(1, 0.5, scale=float(self.n_made))
        self.model = PPMO("MlpPolicy", environment(), initial_dataset=self.set, **SMALL)

    @rule()
    def learn(self):
        self.model.learn(256, reset_num_timesteps=False)
        self.set = self.model.dataset

    @rule(name=NAMES)
    def save(self, name):
        self.write(name)
        self.files[name] = self.content(name)

    @rule(name=NAMES)
    def load(self, name):
        assert_same(self.read(name), self.files.get(name))

    @precondition(lambda self: any("." not in name for name in self.files))
    @rule(data=st.data())
    def go_on(self, data):
        name = data.draw(st.sampled_from(sorted(name for name in self.files if "." not in name)))
        self.model = resume(PPMO, self.folder / name, environment())
        assert_same((self.model.num_timesteps, self.model.dataset.labels), self.files[name])
        self.learn()

    @precondition(lambda self: self.files)
    @rule(data=st.data(), stem=st.sampled_from("ab"))
    def rename(self, data, stem):
        name = data.draw(st.sampled_from(sorted(self.files)))
        target = Path(stem).with_suffix(Path(name).suffix).name
        if target != name and not (self.folder / target).is_dir():
            os.replace(self.folder / name, self.folder / target)
            self.files[target] = self.files.pop(name)

    @precondition(lambda self: self.files)
    @rule(data=st.data())
    def remove(self, data):
        name = data.draw(st.sampled_from(sorted(self.files)))
        path = self.folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        del self.files[name]

    @rule(name=NAMES)
    def read_while_writing(self, name):
        """At every moment at which something reaches the disk, a reader finds what was there, or what comes."""
        before, after, seen = self.files.get(name), self.content(name), []
        with at_each_moment(lambda: seen.append(self.read(name))):
            self.write(name)
        assert len(seen) >= 3
        n_old = next((i for i, content in enumerate(seen) if not is_same(content, before)), len(seen))
        for content in seen[n_old:]:
            assert_same(content, after)
        self.files[name] = after

    @rule(name=NAMES, n=st.integers(0, 5))
    def fail(self, name, n):
        """The disk is full from some moment on: what was there stays, or what comes is whole."""
        moments, told = iter(range(n)), str(self.folder)

        def fills():
            if next(moments, None) is None:
                raise OSError(28, "No space left on device")

        try:
            with at_each_moment(fills):
                self.write(name)
        except OSError as error:
            told = str(error.filename)
        assert told.startswith(str(self.folder))
        content = self.read(name)
        assert is_same(content, self.content(name)) or is_same(content, self.files.get(name))
        self.files.pop(name, None)
        if content is not None:
            self.files[name] = content

    @invariant()
    def nothing_else_lies_in_the_folder(self):
        assert sorted(path.name for path in self.folder.iterdir() if not is_empty(path)) == sorted(self.files)

    def write(self, name):
        path = self.folder / name
        if path.suffix == ".safetensors":
            self.set.save(path)
        elif path.suffix == ".zip":
            self.model.save(path)
        else:
            save(self.model, path)

    def content(self, name):
        """What is written under a name now."""
        dataset = self.set if name.endswith(".safetensors") else self.model.dataset
        steps = dataset.info.timesteps if name.endswith(".safetensors") else self.model.num_timesteps
        return steps, dataset.labels.detach().clone()

    def read(self, name):
        path = self.folder / name
        try:
            if path.suffix == ".safetensors":
                dataset = SyntheticDataset.load(path)
                return dataset.info.timesteps, dataset.labels
            model = PPMO.load(path) if path.suffix == ".zip" else resume(PPMO, path, environment())
        except FileNotFoundError:
            return None
        return None if model is None else (model.num_timesteps, model.dataset.labels)


@contextmanager
def at_each_moment(act):
    """Do something before a save puts something on the disk or into its place, each time."""

    def after(call):
        return lambda *args: (act(), call(*args))[1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_files, "flush", flush := after(whole_files.flush))
        patch.setattr("sb3_distill.rollback.checkpoints.flush", flush)
        patch.setattr(os, "replace", after(os.replace))
        yield


def is_empty(path):
    return path.is_dir() and not any(path.iterdir())


def is_same(one, other):
    return one is other is None or (None not in (one, other) and one[0] == other[0] and th.equal(one[1], other[1]))


def assert_same(one, other):
    assert is_same(one, other), f"{one} is there, and {other} was written"


def test_files_hold_what_was_written_last():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run_state_machine_as_test(
            Files,
            settings=settings(
                max_examples=12,
                stateful_step_count=20,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],  # to shrink takes minutes
                suppress_health_check=list(HealthCheck),
            ),
        )
