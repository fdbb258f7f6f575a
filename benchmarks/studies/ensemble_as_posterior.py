"""
Is an ensemble of taught learners like agents that were trained one by one, and does it know states that it was not made for?

    python benchmarks/studies/ensemble_as_posterior.py agents    # train them (SB3's PPO), what is missing
    python benchmarks/studies/ensemble_as_posterior.py distance  # total variation between ensembles and agents
    python benchmarks/studies/ensemble_as_posterior.py physics   # AUROC of uncertainty on states of other physics

``distance`` compares distributions of actions in states that the agents visit. A posterior would be as near to the agents as
half of the agents is to the other half. Controls: one agent, one member, the uniform distribution.

``physics`` lets the same ensemble play with the physics of the task, and with one constant changed, and asks how well a figure
of a state alone tells which of both it comes from. Controls: the entropy of one member, and how far a state is from the mean.
"""

import argparse
import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import torch as th
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env as sb3_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from nd_cartpole import dynamics

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.results import RUNS, one_thread, read, write
from sb3_distill import DistilledEnsemble, make_vec_env
from sb3_distill.teaching.acting import as_taught
from sb3_distill.typing import Array, Json

NAME = "ensemble_as_posterior"
ENV = "NDCartPole2D-v0"
N_AGENTS, AGENT_STEPS = 8, 200_000
AGENT: Json = dict(n_steps=32, batch_size=256, n_epochs=20, gamma=0.98, gae_lambda=0.8, ent_coef=0.0)
SETS: dict[str, Json] = {
    "NDCartPole2D-v0": {},
    "NDCartPole2D-v0/wide-sgd": {},
    "NDCartPole2D-v0/wide-sgd-raw, Xavier": {"learner_distribution": "xe-1"},
    "NDCartPole2D-v0/wide, ridge": {},
    "NDCartPole2D-v0/any, carry": {},
}
"""Sets, and the members that are taught."""
CONSTANTS = {"GRAVITY": 9.8, "CART_MASS": 1.0, "POLE_HALF_LENGTH": 0.5, "FORCE": 10.0}
FACTORS = (0.5, 3.0)
OF_PHYSICS = tuple(SETS)[:3]
"""Sets whose members play with other physics."""
N_MEMBERS, N_DRAWS, N_ENVS, N_STEPS = 25, 10, 32, 100


def agents(options: argparse.Namespace) -> list[PPO]:
    """PPO agents, each trained with a seed of its own by the settings that rl-zoo has for cart-pole."""
    trained = []
    for seed in range(options.agents):
        path = RUNS / f"{NAME}-agent-{seed}.zip"
        if not path.exists():
            env = sb3_vec_env(ENV, 8, seed=seed)
            rates = dict(learning_rate=lambda progress: 1e-3 * progress, clip_range=lambda progress: 0.2 * progress)
            model = PPO("MlpPolicy", env, seed=seed, device="cpu", **AGENT, **rates).learn(AGENT_STEPS)
            mean, _ = evaluate_policy(model, sb3_vec_env(ENV, 8, seed=1000 + seed), 32, deterministic=False)
            write(NAME, {**read(NAME), f"agent/{seed}": {"return": float(mean), "steps": AGENT_STEPS}})
            print(f"agent {seed}: {mean:.1f}", flush=True)
            model.save(path)
        trained.append(PPO.load(path, device="cpu"))
    return trained


@th.no_grad()
def probabilities(policy: object, states: Array) -> Array:
    """Probabilities of the actions ``(n, n_actions)`` of an agent, or of each member ``(M, n, n_actions)``."""
    if isinstance(policy, DistilledEnsemble):
        seen, _ = policy.obs_to_tensor(as_taught(policy.dataset, states, policy.observation_space))
        outputs, _ = policy._see(seen)
        return np.asarray(outputs.double().softmax(dim=-1).numpy())
    assert isinstance(policy, PPO)
    return np.asarray(policy.policy.get_distribution(th.as_tensor(states)).distribution.probs.double().numpy())  # type: ignore[union-attr]


def distance(one: Array, other: Array) -> float:
    """Mean total variation of two distributions ``(n, n_actions)``."""
    return float(0.5 * np.abs(one - other).sum(axis=-1).mean())


def visited(act: "object", n_steps: int, seed: int, burn_in: int = 0) -> Array:
    """States of sampled play ``(n, 8)``."""
    env = make_vec_env(ENV, N_ENVS, seed=seed)
    states, seen = [], env.reset()
    for step in range(n_steps):
        actions, _ = act.predict(seen, deterministic=False)  # type: ignore[attr-defined]
        seen = env.step(actions)[0]
        if step >= burn_in and step % 5 == 0:
            states.append(np.array(seen))
    env.close()
    return np.concatenate(states)


def ensemble_of(name: str, seed: int) -> DistilledEnsemble:
    return DistilledEnsemble.from_dataset(name.partition(",")[0], N_MEMBERS, seed=seed, device="cpu", **SETS[name])


def interval(values: list[float]) -> list[float]:
    """Mean, and a 95 % interval of it by a bootstrap over draws."""
    draws = np.random.default_rng(0).choice(values, (2000, len(values))).mean(axis=1)
    return [float(np.mean(values)), *np.percentile(draws, [2.5, 97.5]).tolist()]


def compare(options: argparse.Namespace) -> None:
    trained = agents(options)
    states = np.concatenate([visited(agent, N_STEPS, 100 + i) for i, agent in enumerate(trained)])
    states = states[np.random.default_rng(0).permutation(len(states))[:4000]]
    each = np.stack([probabilities(agent, states) for agent in trained])
    together, rng = each.mean(axis=0), np.random.default_rng(1)
    halves = []
    for _ in range(20):
        order = rng.permutation(len(each))
        half = len(each) // 2
        halves.append(distance(each[order[:half]].mean(axis=0), each[order[half : 2 * half]].mean(axis=0)))
    others = [distance(each[i], np.delete(each, i, axis=0).mean(axis=0)) for i in range(len(each))]
    rows: Json = {
        "half of the agents, the other half": interval(halves),
        "one agent, the others": interval(others),
        "uniform, agents": [distance(np.full_like(together, 1 / together.shape[1]), together)] * 3,
    }
    for name in SETS:
        members = [probabilities(ensemble_of(name, 10 + draw), states) for draw in range(N_DRAWS)]
        rows[f"{name}: ensemble, agents"] = interval([distance(one.mean(axis=0), together) for one in members])
        rows[f"{name}: one member, agents"] = interval([distance(one[0], together) for one in members])
        rows[f"{name}: ensemble, another draw"] = interval(
            [distance(a.mean(axis=0), b.mean(axis=0)) for a, b in itertools.pairwise(members)]
        )
    write(NAME, {**read(NAME), "distance": rows})
    for name, (mean, low, high) in rows.items():
        print(f"{name}: {mean:.3f} [{low:.3f}, {high:.3f}]")


@contextmanager
def physics(constant: str, factor: float) -> Iterator[None]:
    """The task with one constant multiplied."""
    changed = {**CONSTANTS, constant: CONSTANTS[constant] * factor}
    changed["TOTAL_MASS"] = changed["CART_MASS"] + dynamics.POLE_MASS
    changed["POLE_MASS_LENGTH"] = dynamics.POLE_MASS * changed["POLE_HALF_LENGTH"]
    with mock.patch.multiple(dynamics, **changed):
        yield


def auroc(inside: Array, outside: Array) -> float:
    """Probability that a figure is larger outside, half of the ties included."""
    values, counts = np.concatenate([inside, outside]), (len(inside), len(outside))
    _, inverse, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[inverse]
    return float((ranks[counts[0] :].sum() - counts[1] * (counts[1] + 1) / 2) / (counts[0] * counts[1]))


def figures(ensemble: DistilledEnsemble, states: Array) -> dict[str, Array]:
    """Figures of each state that might tell whether it is unusual."""
    first = probabilities(ensemble, states)[0]
    entropy = -(first * np.log(first.clip(1e-12))).sum(axis=1)
    far = ((states - INSIDE["mean"]) / INSIDE["std"]) ** 2
    return {**ensemble.uncertainty(states), "entropy of one member": entropy, "distance from the mean": far.sum(axis=1)}


INSIDE: dict[str, Array] = {}
"""Mean and deviation of the states of the task's physics, for the control."""


def unusual(options: argparse.Namespace) -> None:
    rows: Json = {}
    for name in OF_PHYSICS:
        values: dict[str, list[float]] = {}
        for draw in range(N_DRAWS):
            ensemble = ensemble_of(name, 10 + draw)
            inside, reference = visited(ensemble, N_STEPS, 200 + draw, 20), visited(ensemble, N_STEPS, 300 + draw, 20)
            INSIDE.update(mean=reference.mean(axis=0), std=reference.std(axis=0))
            of_task = figures(ensemble, inside)
            for constant in CONSTANTS:
                for factor in FACTORS:
                    with physics(constant, factor):
                        outside = figures(ensemble, visited(ensemble, N_STEPS, 400 + draw, 20))
                    for figure, value in outside.items():
                        values.setdefault(f"{constant} x {factor:g}: {figure}", []).append(auroc(of_task[figure], value))
        rows[name] = {key: interval(of_draws) for key, of_draws in values.items()}
        write(NAME, {**read(NAME), "physics": rows})
        for key, (mean, low, high) in rows[name].items():
            print(f"{name}, {key}: {mean:.3f} [{low:.3f}, {high:.3f}]", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["agents", "distance", "physics"])
    parser.add_argument("--agents", type=int, default=N_AGENTS)
    options = parser.parse_args()
    one_thread()
    RUNS.mkdir(exist_ok=True)
    {"agents": agents, "distance": compare, "physics": unusual}[options.what](options)


if __name__ == "__main__":
    main()
