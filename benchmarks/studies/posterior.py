"""
Are distilled ensembles near a Bayesian posterior? Digits, a network of 16 tanh units, Hamiltonian Monte Carlo as the
reference. Needs ``pip install scikit-learn``.

    python benchmarks/studies/posterior.py prior                 # the prior variance: held-out likelihood of MAP networks
    python benchmarks/studies/posterior.py chains --parts validation   # chains on 800 images, on which methods are developed
    python benchmarks/studies/posterior.py chains --parts test   # chains on all 1000 images
    python benchmarks/studies/posterior.py score [--methods ...] # what is near the chains' predictions of the test images
    python benchmarks/studies/posterior.py show

What is fixed before any ensemble is scored: four chains from four MAP networks, 200 samples of burn-in and 800 samples each,
100 leapfrog steps a sample, and R-hat below 1.05 for every predictive probability.
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch as th

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.digits import Pair, draw, policy_kwargs, seen, split, train_on_everything, validation_split
from benchmarks.lib.hmc import sample
from benchmarks.lib.results import RUNS, one_thread, read, write
from benchmarks.lib.tanh_posterior import Posterior
from benchmarks.lib.towards import TowardsChains, TowardsNetworks
from benchmarks.lib.variational import VariationalDistillation
from sb3_distill import SupervisedDistillation
from sb3_distill.evaluation.probabilities import scores
from sb3_distill.typing import Json

NAME = "posterior"
WIDTH, N_CLASSES = 16, 10
VARIANCES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
CHAINS, SAMPLES, BURN_IN, LEAPFROG, MAP_STEPS = 4, 800, 200, 100, 1000
COMMON: dict[str, Any] = {"policy_kwargs": policy_kwargs("16"), "n_learners": 16, "seed": 0, "device": "cpu"}
N_MEMBERS, N_POOL, N_DRAWS, UPDATES, UPDATES_VARIATIONAL = 100, 150, 10, 800, 1500
FIGURES = ("total_variation", "agreement", "accuracy", "nll", "ece", "brier")
Draws = Callable[[int], th.Tensor]
"""From the seed of a draw to probabilities of 100 networks ``(100, n, c)``."""
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


def plain(combine: str | None = None, **settings: object) -> Callable[[Pair, th.Tensor], Draws]:
    """Ensembles of an ordinary run."""

    def members(data: Pair, images: th.Tensor) -> Draws:
        run = SupervisedDistillation(data, combine=combine, **COMMON, **settings).learn(UPDATES)
        return partial(taught, run, images)

    return members


@th.no_grad()
def taught(run: SupervisedDistillation, images: th.Tensor, seed: int) -> th.Tensor:
    """Probabilities of fresh learners ``(N_MEMBERS, n, c)``."""
    return run.dataset.teach(draw(run, N_MEMBERS, seed))(images.expand(N_MEMBERS, -1, -1)).softmax(dim=2)


@cache
def variational_run(k: int, temperature: float) -> VariationalDistillation:
    """A distilled variational posterior."""
    return VariationalDistillation(
        split()[0], WIDTH, 0.5, read(NAME)["prior"]["variance"], temperature, n_instances=k, learning_rate="lin_0.02",
        labels_learning_rate="lin_0.05", rates_learning_rate="lin_0.05", carry_strength=1.0, seed=0, device="cpu",
    ).learn(UPDATES_VARIATIONAL)  # fmt: skip


def variational(k: int, temperature: float = 1.0, n_heads: int = 10) -> Callable[[Pair, th.Tensor], Draws]:
    """Members of a distilled variational posterior, each with the mean over heads, or with its mean head."""

    def members(_: Pair, images: th.Tensor) -> Draws:
        run = variational_run(k, temperature)
        return lambda seed: run.predict(images, N_MEMBERS, seed, n_heads)

    return members


def towards_chains(data: Pair, images: th.Tensor) -> Draws:
    """Another method, which needs the chains: their predictions of training images are the targets."""
    run = TowardsChains(data, n_instances=100, inner_loop="carry", carry_strength=0.3, weight_decay=1.0, **COMMON)
    run.wanted = th.as_tensor(np.load(RUNS / "posterior-test.npz")["of_training"], dtype=th.float32)
    return partial(taught, run.learn(UPDATES), images)


def towards_networks(k: int, seed: int = 0) -> Callable[[Pair, th.Tensor], Draws]:
    """Twenty networks that Adam has trained are the targets; they are not among the networks that are compared with."""

    def members(data: Pair, images: th.Tensor) -> Draws:
        run = TowardsNetworks(
            data, n_instances=k, n_inner_steps=5, learning_rate="lin_0.02", labels_learning_rate="lin_0.05",
            rates_learning_rate="lin_0.05", dataset_init="data", **{**COMMON, "n_learners": 8, "seed": seed},
        )  # fmt: skip
        run.teachers = train_on_everything(draw(run, 20, seed + 1), run.inputs, run.targets, seed=seed + 1)
        return partial(taught, run.learn(UPDATES), images)

    return members


def pooled(pool: th.Tensor) -> Draws:
    """Draws of an ensemble out of ``N_POOL`` networks: draws overlap, so that their spread is an underestimate."""
    return lambda seed: pool[th.randperm(len(pool), generator=th.Generator().manual_seed(seed))[:N_MEMBERS]]


def map_networks(data: Pair, images: th.Tensor) -> Draws:
    """Maxima of the posterior density."""
    posterior = posterior_on(data, read(NAME)["prior"]["variance"])
    parts = [posterior.modes(10, MAP_STEPS, 100 + i) for i in range(N_POOL // 10)]  # more at once leave the cache
    return pooled(posterior.probabilities(th.cat(parts), images))


def adam_networks(data: Pair, images: th.Tensor) -> Draws:
    """Ordinary training on everything, without a prior, for 1000 minibatches."""
    run = SupervisedDistillation(data, **COMMON)
    trained = train_on_everything(draw(run, N_POOL, 0), run.inputs, run.targets)
    with th.no_grad():
        return pooled(trained(images.expand(N_POOL, -1, -1)).softmax(dim=2))


METHODS: dict[str, Callable[[Pair, th.Tensor], Draws]] = {
    "MAP networks": map_networks,
    "networks trained by Adam": adam_networks,
    "distilled, one step, k = 32": plain(n_instances=32, weight_decay=3.0),
    "distilled for the ensemble, one step, k = 32": plain("probs", n_instances=32, weight_decay=3.0),
    "distilled, ridge, k = 32": plain(n_instances=32, weight_decay=3.0, inner_loop="ridge"),
    "distilled, carry, k = 32": plain(n_instances=32, weight_decay=1.0, inner_loop="carry", carry_strength=0.3),
    "variational, k = 32": variational(32),
    "variational, k = 100": variational(100),
    "variational, k = 100, mean heads": variational(100, n_heads=0),
    "variational, k = 100, temperature 0.5": variational(100, 0.5),
    "distilled towards 20 trained networks, five steps, k = 32": towards_networks(32),
    "distilled towards 20 trained networks, five steps, k = 100": towards_networks(100),
    "the same, second seed of set and networks": towards_networks(100, 1),
    "the same, third seed of set and networks": towards_networks(100, 2),
    "distilled towards the chains' predictions of training images, carry, k = 100": towards_chains,
}


def score(method: str) -> None:
    """Ten draws of 100 members, and of one, against the chains' mean prediction of the test images."""
    if method in read(NAME).get("test", {}):
        return
    train, (inputs, targets) = split()
    images, classes = seen(train, inputs), th.as_tensor(targets)
    reference = th.as_tensor(np.load(RUNS / "posterior-test.npz")["predictive"])
    start, rows = time.process_time(), {"one": list[Json](), "ensemble": list[Json]()}
    draws = METHODS[method](train, images)
    seconds = time.process_time() - start
    for seed in range(N_DRAWS):
        probs = draws(seed)
        rows["one"].append(scores(probs[0], classes, reference))
        rows["ensemble"].append(scores(probs.mean(dim=0), classes, reference))
    result = read(NAME)
    write(NAME, {**result, "test": {**result.get("test", {}), method: {"seconds": seconds, **rows}}})
    print(
        method,
        f"{seconds:.0f} s",
        {name: round(np.mean([r[name] for r in rows["ensemble"]]), 3) for name in FIGURES},
        flush=True,
    )


def score_chains() -> None:
    """The chains themselves, and one chain against the others: as near as a finite sample comes."""
    _, (_, targets) = split()
    classes, kept = th.as_tensor(targets), np.load(RUNS / "posterior-test.npz")
    chains = th.as_tensor(kept["chains"])
    rows = [scores(chain, classes, (chains.sum(dim=0) - chain) / (len(chains) - 1)) for chain in chains]
    result = read(NAME)
    test = {**result.get("test", {}), "one chain, against the others": {"ensemble": rows}}
    write(NAME, {**result, "test": test, "reference": scores(th.as_tensor(kept["predictive"]), classes)})


def show() -> None:
    """The table: mean over draws, with the smallest and the largest."""
    result = read(NAME)
    print("| method | of | " + " | ".join(FIGURES) + " |\n|---|---|" + "---|" * len(FIGURES))
    print("| HMC | all chains | - | - | " + " | ".join(f"{result['reference'][name]:.3f}" for name in FIGURES[2:]) + " |")
    for method, row in result["test"].items():
        for of in [of for of in ("one", "ensemble") if of in row]:
            columns = [[figures[name] for figures in row[of]] for name in FIGURES]
            texts = [f"{np.mean(column):.3f} [{min(column):.3f}, {max(column):.3f}]" for column in columns]
            print(f"| {method} | {of} | " + " | ".join(texts) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("prior", "chains", "score", "show"))
    parser.add_argument("--parts", nargs="*", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--methods", nargs="*", choices=list(METHODS), default=list(METHODS))
    options = parser.parse_args()
    one_thread()
    if options.what == "score":
        score_chains()
        for method in options.methods:
            score(method)
    if options.what in ("score", "show"):
        show()
    if options.what == "prior":
        choose_prior()
    for part in options.parts if options.what == "chains" else []:
        run_chains(part)


if __name__ == "__main__":
    main()
