"""
Run entries of zoo_configs/ppmo.yml to their end with ``sb3-distill train``, and score the dataset: 100 fresh learners x 20
episodes each, sampled and greedy. Sets named in SHIPPED are stored with the package, others in runs/.

    python benchmarks/make/zoo_entries.py CartPole-v1 Acrobot-v1
"""

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.results import DATASETS, one_thread, read, write
from sb3_distill import PPMO, evaluate_learners
from sb3_distill.cli import program as cli

SHIPPED = ("CartPole-v1", "Acrobot-v1", "MountainCar-v0", "Pendulum-v1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("env_ids", nargs="+")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--episodes", type=int, default=20, help="of each of the 100 learners; fewer where stepping is slow")
    options = parser.parse_args()
    one_thread()
    for env_id in options.env_ids:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            train = ["train", "--env", env_id, "--eval-freq", "-1", "-f", folder, "--seed", str(options.seed)]
            assert cli.main([*train, "--num-threads", "1", "--verbose", "0"]) == 0
            seconds = time.perf_counter() - start
            dataset = PPMO.load(next(Path(folder).rglob(f"{env_id.replace('/', '-')}.zip"))).dataset
        path = (DATASETS if env_id in SHIPPED else Path("runs")) / f"{env_id.replace('/', '--')}.safetensors"
        dataset.save(path)  # before the long evaluation
        evaluate = partial(evaluate_learners, dataset, 100, options.episodes, max_envs=100, seed=1)
        sampled, greedy = evaluate(deterministic=False), evaluate(deterministic=True)
        scores = {"sampled": sampled.summary(), "greedy": greedy.summary()}
        print(
            f"{env_id}: {seconds:.0f} s, sampled {sampled.mean:.1f} +- {sampled.std:.1f}, "
            f"greedy {greedy.mean:.1f} +- {greedy.std:.1f}",
            flush=True,
        )
        dataset.info.scores = scores
        dataset.save(path)
        entry = {"seconds": seconds, "seed": options.seed, "steps": dataset.info.timesteps, **scores}
        write("zoo_entries", {**read("zoo_entries"), env_id: entry})


if __name__ == "__main__":
    main()
