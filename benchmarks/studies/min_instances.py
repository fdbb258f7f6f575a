"""
What is the smallest dataset? Return of fresh learners (orthogonal initialisation, one gradient step) against k = 1 to 2N, for
N-D cart-pole with one learned rate and with a rate per role (the latter may leave the output bias alone). Eq. 3 of the paper
says k_min = N + 1.

    python benchmarks/studies/min_instances.py 1 2 3 4 5     # runs what is missing in results/min_instances.json, then draws
"""

import argparse
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.cartpole import distil
from benchmarks.lib.results import PICTURES, one_thread, read, write
from sb3_distill import evaluate_learners, min_instances
from sb3_distill.environments.make import make_vec_env
from sb3_distill.typing import Json

SCALE = {1: 350_000, 2: 1_500_000, 3: 2_500_000, 4: 4_000_000, 5: 5_000_000}
"""Environment steps."""
KINDS: dict[str, Json] = {"one rate": {}, "rate per role": dict(inner_rate_per_role=True)}


def draw(results: Json) -> None:
    """Return against k, a panel for each N."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 5, figsize=(13, 2.8), sharey=True, layout="constrained")
    for n_dims, axis in enumerate(axes, start=1):
        for kind in KINDS:
            points = {k: results.get(f"{n_dims}-D, {kind}, k={k}") for k in range(1, 2 * n_dims + 1)}
            found = {k: point["mean"] for k, point in points.items() if point is not None}
            axis.plot(list(found), list(found.values()), marker="o", label=kind)
        axis.axvline(n_dims + 1, color="grey", ls=":", label="Eq. 3")
        axis.set(title=f"{n_dims}-D", xlabel="k", ylim=(0, 510))
    axes[0].set_ylabel("return, sampled")
    axes[-1].legend(fontsize=7)
    figure.savefig(PICTURES / "min_instances.png", dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("n_dims", type=int, nargs="*", help="numbers of axes")
    options = parser.parse_args()
    one_thread()
    warnings.filterwarnings("ignore", message="n_instances=.* is below")
    for n_dims in options.n_dims:
        smallest = min_instances(make_vec_env(f"NDCartPole{n_dims}D-v0").action_space)
        for k in range(1, 2 * n_dims + 1):
            for kind, settings in KINDS.items():
                name = f"{n_dims}-D, {kind}, k={k}"
                if name in read("min_instances"):
                    continue
                model, seconds = distil(n_dims, 0, SCALE[n_dims], n_instances=k, **settings)
                evaluation = evaluate_learners(model.dataset, 100, 20, seed=1)
                rates = model.dataset.inner_loop.rates(model.dataset.learned)
                entry = {"mean": evaluation.mean, "std": evaluation.std, "seconds": seconds, "rates": rates, "eq3": smallest}
                print(f"{name}: {evaluation.mean:.1f} +- {evaluation.std:.1f}", flush=True)
                write("min_instances", {**read("min_instances"), name: entry})
    draw(read("min_instances"))


if __name__ == "__main__":
    main()
