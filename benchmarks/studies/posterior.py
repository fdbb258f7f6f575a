"""
Are distilled ensembles near a Bayesian posterior? Digits, a network of 16 tanh units, Hamiltonian Monte Carlo as the
reference. Needs ``pip install scikit-learn``.

    python benchmarks/studies/posterior.py prior                 # the prior variance: held-out likelihood of MAP networks
    python benchmarks/studies/posterior.py chains --parts validation   # chains on 800 images, on which methods are developed
    python benchmarks/studies/posterior.py chains --parts test   # chains on all 1000 images

What is fixed before any ensemble is scored: four chains from four MAP networks, 200 samples of burn-in and 800 samples each,
100 leapfrog steps a sample, and R-hat below 1.05 for every predictive probability.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch as th

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.digits import Pair, seen, split, validation_split
from benchmarks.lib.hmc import Posterior, sample
from benchmarks.lib.results import RUNS, one_thread, read, write
from sb3_distill.typing import Json

NAME = "posterior"
WIDTH, N_CLASSES = 16, 10
VARIANCES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
CHAINS, SAMPLES, BURN_IN, LEAPFROG, MAP_STEPS = 4, 800, 200, 100, 1000
PARTS = {"validation": validation_split, "test": split}


def posterior_on(data: Pair, variance: float) -> Posterior:
    """The posterior of the network on examples, normalised by their statistics."""
    return Posterior(seen(data, data[0]), th.as_tensor(data[1]), WIDTH, N_CLASSES, variance)


def choose_prior() -> None:
    """The variance under which ten MAP networks on 800 images predict the other 200 with the best mean likelihood."""
    fit, held_out = validation_split()
    targets, rows = th.as_tensor(held_out[1]), th.arange(len(held_out[1]))
    losses: Json = {}
    for variance in VARIANCES:
        posterior = posterior_on(fit, variance)
        probs = posterior.probabilities(posterior.modes(10, MAP_STEPS, 0), seen(fit, held_out[0]))
        losses[str(variance)] = -float(probs[:, rows, targets].clamp(min=1e-12).log().mean())
    chosen = float(min(losses, key=losses.__getitem__))
    print(losses, "chosen:", chosen, flush=True)
    write(NAME, {**read(NAME), "prior": {"held_out_nll_of_map": losses, "variance": chosen}})


def run_chains(part: str) -> None:
    """Sample the posterior, keep the predictive probabilities in ``runs/``, and what tells whether chains agree."""
    data, other = PARTS[part]()
    posterior = posterior_on(data, read(NAME)["prior"]["variance"])
    start, n = time.process_time(), len(other[0])
    inputs = th.cat([seen(data, other[0]), posterior.inputs])  # predictions of training inputs are for one method alone
    sampled = sample(posterior, posterior.modes(CHAINS, MAP_STEPS, 1), inputs, SAMPLES, BURN_IN, LEAPFROG, seed=0)
    chains, r_hat = sampled.means.mean(dim=1)[:, :n], sampled.r_hat()[:n]
    one, rest = chains[0], chains[1:].mean(dim=0)
    row = {
        "acceptance": sampled.acceptance.tolist(),
        "step_sizes": sampled.step_sizes.tolist(),
        "r_hat_largest": float(r_hat.max()),
        "r_hat_99_percent": float(r_hat.flatten().quantile(0.99)),
        "one_chain_against_others": {
            "total_variation": float((one - rest).abs().sum(dim=1).mean() / 2),
            "agreement": float((one.argmax(dim=1) == rest.argmax(dim=1)).double().mean()),
        },
        "seconds": time.process_time() - start,
    }
    RUNS.mkdir(exist_ok=True)
    predictive = sampled.predictive.numpy()
    np.savez(RUNS / f"posterior-{part}.npz", predictive=predictive[:n], of_training=predictive[n:], chains=chains.numpy())
    write(NAME, {**read(NAME), f"chains/{part}": row})
    print(part, row, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("prior", "chains"))
    parser.add_argument("--parts", nargs="*", choices=list(PARTS), default=list(PARTS))
    options = parser.parse_args()
    one_thread()
    if options.what == "prior":
        choose_prior()
    for part in options.parts if options.what == "chains" else []:
        run_chains(part)


if __name__ == "__main__":
    main()
