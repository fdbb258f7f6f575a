"""What the study of searches found, as results with tables."""

import random

import numpy as np

from benchmarks.lib.tasks_of_search import SearchTask
from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.ranking.cost import Cost
from sb3_distill.search.ranking.result import SearchResult
from sb3_distill.typing import Json

BASELINES = ("64-64", "median", "random")
"""SB3's default network, the one whose true return is the median of the networks, and one picked at random."""
WAYS = ("distillation", "distillation, unit variance, 30 steps", "offline", "parameters")
"""Scores whose picks are confirmed. The pick of RL, ``"online"``, is the best of the truth."""


def result_of(name: str, task: SearchTask, results: Json) -> SearchResult:
    """
    :param name: name of the task
    :param task: the task
    :param results: content of ``results/search.json``
    :return: networks, truth and scores of it; early-stopped RL is a score like others
    :raises KeyError: if the truth is not complete
    """
    networks = task.networks()
    truths = [results[f"{name}/truth/{index}"] for index in range(len(networks))]
    scores, costs = {}, {"truth": Cost([entry["seconds"] for entry in truths])}
    for key, entry in results.items():
        if key.startswith(f"{name}/scores/"):
            score = key.removeprefix(f"{name}/scores/")
            scores[score] = np.array(entry["per_seed"], dtype=float)
            costs[score] = Cost(entry["seconds"], {"making the data": entry["fixed_seconds"]})
    for part in (9, 3):
        entries = [results.get(f"{name}/stopped/{part}/{index}") for index in range(len(networks))]
        if all(entries):
            scores[f"PPO, 1/{part} of the steps"] = np.array([entry["per_seed"] for entry in entries])
            costs[f"PPO, 1/{part} of the steps"] = Cost([entry["seconds"] for entry in entries])
    confirmations = {
        key.split("/")[2]: np.array(entry["per_seed"]) for key, entry in results.items() if key.startswith(f"{name}/picks/")
    }
    keys = [network.key for network in networks]
    return SearchResult(
        keys, [network.to_json() for network in networks], scores, np.array([entry["per_seed"] for entry in truths]), costs,
        picks={}, confirmations=confirmations, baselines=[base for base in BASELINES if base in confirmations],
        info={"task": name},
    )  # fmt: skip


def to_confirm(result: SearchResult) -> dict[str, PolicyArchitecture]:
    """
    :param result: a result with a truth
    :return: by name, the networks that are trained again with new seeds: what each way picks, and the baselines
    """
    assert result.truth is not None
    means = result.truth.mean(axis=1)
    networks = [PolicyArchitecture.of(architecture) for architecture in result.architectures]
    by_key = dict(zip(result.keys, networks, strict=True))
    chosen = {way: by_key[result.best(way)[0]] for way in WAYS if way in result.scores}
    chosen["online"] = networks[int(means.argmax())]
    chosen["64-64"] = PolicyArchitecture()
    chosen["median"] = networks[int(np.argsort(means)[len(means) // 2])]
    chosen["random"] = random.Random(0).choice(networks)
    return chosen
