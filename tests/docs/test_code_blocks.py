"""
Every Python block of README and documentation runs as it is written.

Long work is cut short, in two visible places: ``learn`` makes at most ``STEPS`` steps (one rollout at least), and
``evaluate_learners`` takes at most ``LEARNERS`` learners of ``EPISODES`` episodes. ``make nightly`` (``NIGHTLY=1``) runs the
blocks with all of their work.
"""

import importlib.util
import os

import pytest
from blocks import PAGES, blocks_of
from stable_baselines3.common.base_class import BaseAlgorithm

import sb3_distill
from sb3_distill import PPMO, DAgger, SyntheticDataset, make_vec_env

STEPS, LEARNERS, EPISODES = 512, 3, 2
NIGHTLY = bool(os.environ.get("NIGHTLY"))


def subclasses(parent):
    return {parent, *(below for child in parent.__subclasses__() for below in subclasses(child))}


@pytest.fixture
def short_work(monkeypatch):
    """Trainings and evaluations of blocks take seconds."""
    if NIGHTLY:
        return

    def shortened(learn):
        def learn_a_little(self, total_timesteps, *args, **kwargs):
            return learn(self, min(total_timesteps, STEPS), *args, **kwargs)

        return learn_a_little

    import stable_baselines3  # noqa: F401  (so that its algorithms are among the subclasses)

    for algorithm in subclasses(BaseAlgorithm) | {PPMO, DAgger}:
        if "learn" in vars(algorithm) and algorithm.__name__ in ("PPO", "PPMO", "DAgger"):
            monkeypatch.setattr(algorithm, "learn", shortened(algorithm.learn))
    evaluate = sb3_distill.evaluate_learners

    def evaluate_a_few(dataset, n_learners=LEARNERS, n_episodes=EPISODES, *args, **kwargs):
        return evaluate(dataset, min(n_learners, LEARNERS), min(n_episodes, EPISODES), *args, **kwargs)

    monkeypatch.setattr(sb3_distill, "evaluate_learners", evaluate_a_few)


@pytest.fixture
def folder_of_a_reader(tmp_path, monkeypatch):
    """What a reader of a page has made on an earlier one."""
    monkeypatch.chdir(tmp_path)
    SyntheticDataset.load("NDCartPole2D-v0").save("cartpole2d.safetensors")
    SyntheticDataset.load("NDCartPole1D-v0").save("clone.safetensors")
    zip_of_the_zoo = tmp_path / "logs" / "ppmo" / "NDCartPole1D-v0_1" / "NDCartPole1D-v0.zip"
    zip_of_the_zoo.parent.mkdir(parents=True)
    PPMO("MlpPolicy", make_vec_env("NDCartPole1D-v0", 4), n_steps=8, seed=0).save(zip_of_the_zoo)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # what libraries warn of is no matter of the pages
@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page, "python")], ids=lambda page: page.stem)
@pytest.mark.usefixtures("short_work", "folder_of_a_reader")
def test_the_blocks_of_a_page_run(page):
    namespace = {"__name__": "__main__"}
    left_out = []
    for block in blocks_of(page, "python"):
        missing = [name for name in block.needs if importlib.util.find_spec(name) is None]
        if missing:
            left_out.append(f"line {block.line} needs {', '.join(missing)}")
            continue
        code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
        exec(code, namespace)
    if left_out:
        pytest.skip("; ".join(left_out))


def test_every_page_with_code_is_tried():
    languages = {block.language for page in PAGES for language in ("py", "pycon") for block in blocks_of(page, language)}
    assert languages == set(), "write ```python, so that the block is run"
    assert sum(len(blocks_of(page, "python")) for page in PAGES) > 15
