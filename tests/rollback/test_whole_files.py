"""
What is written appears whole or not at all: every call of the operating system that a save makes fails once, and is the last
one of its process once, from the first to the last. Of a write that is struck, half is in the file.
"""

import builtins
import io
import os
import pickle
import shutil
import warnings
from pathlib import Path

import pytest

from sb3_distill import PPMO, SyntheticDataset, make_vec_env, whole_files
from sb3_distill.rollback import resume
from sb3_distill.rollback.checkpoints import save
from sb3_distill.rollback.level_files import read_json, save_critic, write_json
from sb3_distill.teaching.as_zip import teach_as_zip

CALLS = [
    (io, "open"),
    (builtins, "open"),
    (os, "open"),
    (os, "write"),
    (os, "fsync"),
    (os, "replace"),
    (os, "rename"),
    (os, "mkdir"),
    (os, "rmdir"),
    (os, "unlink"),
]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")


class Strike:
    """Lets the n-th call of the operating system fail, or be the last one."""

    def __init__(self, patch, n, act):
        self.left, self.act, self.n_writes = n, act, 0
        for module, name in CALLS:
            patch.setattr(module, name, self.counted(getattr(module, name)))

    def counted(self, call):
        def instead(*args, **kwargs):
            self.count()
            result = call(*args, **kwargs)
            return Written(result, self) if isinstance(result, io.IOBase) and result.writable() else result

        return instead

    def count(self, first=lambda: None):
        self.left -= 1
        if self.left == 0:
            first()
            self.act()


class Written:
    """A file whose writes are counted; half of the one that is struck gets into the file."""

    def __init__(self, file, strike):
        self.file, self.strike = file, strike

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, data):
        self.strike.n_writes += 1
        self.strike.count(lambda: (self.file.write(data[: len(data) // 2]), self.file.flush()))
        return self.file.write(data)


def full():
    raise OSError(28, "No space left on device")


@pytest.fixture(scope="module")
def model():
    env = make_vec_env("NDCartPole1D-v0", 8, seed=0)
    return PPMO("MlpPolicy", env, n_steps=32, policy_kwargs=dict(net_arch=[8]), seed=0).learn(256)


def steps_of(folder):
    model = resume(PPMO, folder, make_vec_env("NDCartPole1D-v0", 8, seed=0))
    return None if model is None else model.num_timesteps


def saved_as(model, n_steps, folder):
    before, model.num_timesteps = model.num_timesteps, n_steps
    try:
        save(model, folder)
    finally:
        model.num_timesteps = before


KINDS = {
    "dataset": (
        lambda model, path: model.dataset.save(path),
        lambda path: SyntheticDataset.load(path).n_instances,
        "d.safetensors",
    ),
    "critic": (save_critic, Path.read_bytes, "critic.safetensors"),
    "results": (lambda model, path: write_json(path, {"0": 1}), read_json, "rollback.json"),
    "agent": (
        lambda model, path: teach_as_zip(model.dataset, "ppo", path, seed=0),
        lambda path: path.stat().st_size > 9,
        "a.zip",
    ),
    "model": (
        lambda model, path: model.save(path),
        lambda path: PPMO.load(path, device="cpu").num_timesteps,
        "model.zip",
    ),
    "picture": (
        lambda _, path: whole_files.write_whole(path, lambda scratch: scratch.write_text("p")),
        Path.read_bytes,
        "p.png",
    ),
    "a checkpoint over one of the same step": (lambda model, path: saved_as(model, 512, path), steps_of, "same"),
    "a checkpoint after another": (lambda model, path: saved_as(model, 768, path), steps_of, "after"),
}


def prepared(kind, model, folder):
    """The path of what was written before, and what reads from it."""
    write, read, name = KINDS[kind]
    path = folder / name
    if "checkpoint" in kind:
        saved_as(model, 512, path)
    else:
        write(model, path)
    return write, read, path


@pytest.mark.parametrize("kind", KINDS)
def test_every_call_of_a_save_fails_once(kind, model, tmp_path, monkeypatch):
    write, read, path = prepared(kind, model, tmp_path)
    before, n_writes = read(path), 0
    for n in range(1, 500):
        with monkeypatch.context() as patch:
            strike = Strike(patch, n, full)
            try:
                write(model, path)
                failed, named = False, str(tmp_path)
            except OSError as error:
                failed, named = True, str(error.filename)
        n_writes = max(n_writes, strike.n_writes)
        after = read(path)
        assert named.startswith(str(tmp_path)), f"call {n}"
        assert after == before if failed else after is not None, f"call {n}"
        before = after
        assert not list(tmp_path.rglob("*.part")) or not failed, f"call {n}"
        if strike.left > 0:
            break
    assert 5 < n < 499 and n_writes > 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_call_of_a_save_is_the_last_one_once(kind, model, tmp_path):
    original = tmp_path / "original"
    prepared(kind, model, original)
    write, read, name = KINDS[kind]
    for n in range(1, 500):
        folder = tmp_path / "copy"
        shutil.copytree(original, folder)
        process = os.fork()
        if process == 0:
            with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
                Strike(patch, n, lambda: os._exit(9))
                write(model, folder / name)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        assert read(folder / name), f"call {n}"
        write(model, folder / name)
        assert read(folder / name) and not list(folder.rglob("*.part")), f"call {n}"
        shutil.rmtree(folder)
        if status == 0:
            break
    assert 5 < n < 499


def test_two_writers_share_nothing(tmp_path):
    path = tmp_path / "x"
    with whole_files.scratch_beside(path) as one, whole_files.scratch_beside(path) as other:
        assert one != other and one.is_dir() and other.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    path = tmp_path / "x"
    (tmp_path / "x.0123.part").mkdir()
    (tmp_path / "y.0123.part").mkdir()
    with whole_files.scratch_beside(path) as living:
        whole_files.write_whole(path, b"content")
        assert living.is_dir()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["x", "y.0123.part"]


def test_a_full_disk_is_told_before_learning(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000)
    monkeypatch.setattr(whole_files.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match="1,000 bytes are free, and 4,096 needed.*d.safetensors"):
        whole_files.check_writable(tmp_path / "d.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_a_folder_is_told_with_its_path(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file.d.safetensors"):
        SyntheticDataset.load("CartPole-v1").save(tmp_path / "file" / "d.safetensors")


def test_the_same_dataset_is_the_same_bytes(tmp_path):
    contents = set()
    for i in range(8):
        path = tmp_path / f"{i}.safetensors"
        dataset = SyntheticDataset.load(tmp_path / f"{i - 1}.safetensors" if i else "NDCartPole2D-v0/wide")
        pickle.loads(pickle.dumps(dataset)).save(path)
        contents.add(path.read_bytes())
    assert len(contents) == 1
