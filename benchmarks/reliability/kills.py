"""
Kill a run at random moments, again and again, and let it go on: nothing may be lost beyond the last interval::

    python benchmarks/reliability/kills.py --n 200

Every other run has a slow disk, so that kills land in the middle of a save. A run loses at most the steps since its last
checkpoint was whole; the first kills come before there is any.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch as th

from sb3_distill import PPMO, make_vec_env, whole_files
from sb3_distill.rollback import Checkpoints, checkpoints, resume

TASK, N_ENVS, ROLLOUT = "NDCartPole1D-v0", 8, 256


def run(folder: Path, slow: float) -> None:
    """What is killed: learn on from the last checkpoint, save after every rollout, and write down what was saved."""
    flush = whole_files.flush

    def slow_flush(path: Path) -> None:
        time.sleep(slow * random.random())
        flush(path)

    checkpoints.flush = slow_flush  # type: ignore[attr-defined]
    model = resume(PPMO, folder / "run", env := make_vec_env(TASK, N_ENVS, seed=0), device="cpu")
    if model is None:
        model = PPMO("MlpPolicy", env, n_steps=ROLLOUT // N_ENVS, seed=0, device="cpu")
    save = checkpoints.save

    def noted(model: PPMO, where: Path) -> Path:
        path = save(model, where)
        with (folder / "saved").open("a") as file:
            file.write(f"{model.num_timesteps}\n")
        return path

    checkpoints.save = noted  # type: ignore[assignment]
    (folder / "learns").touch()
    model.learn(10**9, Checkpoints(folder / "run", minutes=0.0), reset_num_timesteps=False)


def outcome(folder: Path) -> str:
    """What a run that was killed has left."""
    saved = [int(line) for line in (folder / "saved").read_text().splitlines()] if (folder / "saved").exists() else []
    model = resume(PPMO, folder / "run", make_vec_env(TASK, N_ENVS, seed=0), device="cpu")
    if not saved:
        return "killed before the first checkpoint"
    if model is None:
        return "FAULT nothing is left"
    if model.num_timesteps < saved[-1]:
        return f"FAULT resumed at {model.num_timesteps} of {saved[-1]}"
    return "nothing lost" if model.dataset.is_finite() else "FAULT not finite"


def kill_one(folder: Path, slow: float, rng: random.Random) -> str:
    """Start a process on a folder, kill it, and look."""
    (folder / "learns").unlink(missing_ok=True)
    process = os.fork()
    if process == 0:
        run(folder, slow)
        os._exit(0)
    while not (folder / "learns").exists():
        time.sleep(0.01)
    time.sleep(rng.uniform(0.0, 2.0))
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return outcome(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=200, help="number of kills (default: 200)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    th.set_num_threads(1)
    PPMO("MlpPolicy", make_vec_env(TASK, N_ENVS), device="cpu").learn(ROLLOUT)  # what is imported late is imported now
    rng, counts = random.Random(options.seed), Counter[str]()
    for start in range(0, options.n, 10):
        with tempfile.TemporaryDirectory() as folder:
            slow = 0.3 if start % 20 else 0.0
            for _ in range(min(10, options.n - start)):
                counts[f"{'slow' if slow else 'quick'} disk: {kill_one(Path(folder), slow, rng)}"] += 1
    print(json.dumps(dict(sorted(counts.items())), indent=2))
    return int(any("FAULT" in name for name in counts))


if __name__ == "__main__":
    sys.exit(main())
