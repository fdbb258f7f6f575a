"""
Does distilling for the ensemble make better ensembles than distilling for each learner?

    python benchmarks/studies/for_ensembles.py run      # what is missing
    python benchmarks/studies/for_ensembles.py show

Cart-pole with Xavier learners, one gradient step, observations as they are: here single learners are taught badly.
``combine=None`` is the control, at equal environment steps and with equally many learners in an iteration. Ensembles of the
sizes below by the rule ``logits`` for sets made with logits, ``probs`` for all others; sampled actions; 10 draws of members.
"""

import argparse
import itertools
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.cartpole import distil
from benchmarks.lib.results import RUNS, one_thread, read, write
from benchmarks.make.wide_sets import settings_of
from sb3_distill import DistilledEnsemble, SyntheticDataset, evaluate_learners, make_vec_env
from sb3_distill.typing import Json

NAME = "for_ensembles"
MEMBERS = "xe-1"
COMBINES = ("none", "probs", "logits")
SIZES = (1, 4, 16)
N_DRAWS, N_EPISODES = 10, 32


def score(dataset: SyntheticDataset, n_dims: int, combine: str) -> Json:
    """Mean return of ensembles of each size, one number for each draw."""
    rule = "logits" if combine == "logits" else "probs"
    rows: Json = {"members": evaluate_learners(dataset, 50, 10, learner_distribution=MEMBERS, seed=1).mean}
    for size, draw in itertools.product(SIZES, range(N_DRAWS)):
        ensemble = DistilledEnsemble.from_dataset(
            dataset, size, learner_distribution=MEMBERS, combine=rule, seed=100 + draw, device="cpu"
        )
        rows.setdefault(f"ensemble of {size}", []).append(mean_return(ensemble, n_dims, draw))
    return rows


def mean_return(policy: DistilledEnsemble, n_dims: int, seed: int) -> float:
    """Of the first episode in each of many environments, sampled actions."""
    env = make_vec_env(f"NDCartPole{n_dims}D-v0", N_EPISODES, seed=1000 + seed)
    seen, running, returns = env.reset(), np.ones(N_EPISODES, bool), np.zeros(N_EPISODES)
    while running.any():
        actions, _ = policy.predict(seen, deterministic=False)
        seen, rewards, dones, _ = env.step(actions)
        returns += rewards * running
        running &= ~dones
    env.close()
    return float(returns.mean())


def run(options: argparse.Namespace) -> None:
    for seed, n_dims, combine in itertools.product(options.seeds, options.axes, options.combines):
        key = f"{n_dims}-D/{combine}/seed {seed}"
        if key in read(NAME):
            continue
        settings, _ = settings_of("sgd-raw", n_dims)
        settings |= {"learner_distribution": MEMBERS, "n_learners": 4, "combine": None if combine == "none" else combine}
        start = time.process_time()
        model, _ = distil(n_dims, seed, options.steps, **settings)
        seconds = time.process_time() - start
        model.dataset.save(RUNS / f"{NAME}-{key.replace('/', '-').replace(' ', '')}.safetensors")
        row = {**score(model.dataset, n_dims, combine), "cpu_seconds": seconds, "steps": model.num_timesteps}
        write(NAME, {**read(NAME), key: row})
        print(f"{key}: " + ", ".join(f"{name} {np.mean(value):.1f}" for name, value in row.items()), flush=True)
    show(options)


def show(options: argparse.Namespace) -> None:
    results = read(NAME)
    for n_dims, combine in itertools.product(options.axes, options.combines):
        rows = [results[key] for seed in options.seeds if (key := f"{n_dims}-D/{combine}/seed {seed}") in results]
        for name in ["members", *(f"ensemble of {size}" for size in SIZES)] if rows else []:
            means = [float(np.mean(row[name])) for row in rows]
            spread = f"{min(means):.1f} to {max(means):.1f}"
            print(f"{n_dims}-D, {combine}, {name}: {np.mean(means):.1f} over {len(means)} seeds, {spread}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "show"])
    parser.add_argument("--axes", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--combines", nargs="+", default=list(COMBINES), choices=COMBINES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=2_000_000, help="of the environments")
    options = parser.parse_args()
    one_thread()
    RUNS.mkdir(exist_ok=True)
    {"run": run, "show": show}[options.what](options)


if __name__ == "__main__":
    main()
