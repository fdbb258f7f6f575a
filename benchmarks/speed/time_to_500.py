"""
Seconds from nothing to a set that teaches 500 +- 0: constructing PPMO to the end of learn, one process, fixed steps,
median of three seeds; evaluation (100 learners x 100 episodes, sampled) is not timed.

    python benchmarks/speed/time_to_500.py 1 2 5
"""

import argparse
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.cartpole import distil
from benchmarks.lib.results import one_thread, read, write
from sb3_distill import evaluate_learners


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n_dims", type=int, nargs="*", default=[1, 2, 5], help="numbers of axes")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    options = parser.parse_args()
    one_thread()
    for n_dims in options.n_dims:
        runs = []
        for seed in options.seeds:
            model, seconds = distil(n_dims, seed)
            evaluation = evaluate_learners(model.dataset, 100, 100, seed=1)
            runs.append(
                {
                    "seed": seed,
                    "seconds": seconds,
                    "steps": model.num_timesteps,
                    "mean": evaluation.mean,
                    "std": evaluation.std,
                }
            )
            print(f"{n_dims}-D seed {seed}: {seconds:.1f} s, {evaluation.mean:.2f} +- {evaluation.std:.2f}", flush=True)
        median = statistics.median(run["seconds"] for run in runs)
        print(f"{n_dims}-D: median {median:.1f} s")
        write("time_to_500", {**read("time_to_500"), f"{n_dims}-D": {"median_seconds": median, "runs": runs}})


if __name__ == "__main__":
    main()
