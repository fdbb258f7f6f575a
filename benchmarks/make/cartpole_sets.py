"""
Make the shipped N-D cart-pole sets (k = N + 1, one gradient step), e.g. for two and three axes:

    python benchmarks/make/cartpole_sets.py 2 3
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.cartpole import distil
from benchmarks.lib.results import DATASETS, one_thread, read, write
from sb3_distill import evaluate_learners


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n_dims", type=int, nargs="*", default=[1, 2, 3, 4, 5, 10], help="numbers of axes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=None, help="environment steps (default: tuned)")
    options = parser.parse_args()
    one_thread()
    for n_dims in options.n_dims:
        model, seconds = distil(n_dims, options.seed, options.steps, progress_bar=True)
        dataset = model.dataset
        dataset.info.scores = {
            "greedy" if greedy else "sampled": evaluate_learners(dataset, 100, 100, greedy, seed=1).summary()
            for greedy in (False, True)
        }
        name = f"NDCartPole{n_dims}D-v0"
        dataset.save(DATASETS / f"{name}.safetensors")
        result = {
            "seconds": seconds,
            "steps": model.num_timesteps,
            "seed": options.seed,
            "k": dataset.n_instances,
            **dataset.info.scores,
        }
        write("cartpole_sets", {**read("cartpole_sets"), name: result})
        sampled, greedy = (dataset.info.scores[kind] for kind in ("sampled", "greedy"))
        print(f"{name}: {seconds:.1f} s, sampled {sampled['mean']:.2f} +- {sampled['std']:.2f}, greedy {greedy['mean']:.2f}")


if __name__ == "__main__":
    main()
