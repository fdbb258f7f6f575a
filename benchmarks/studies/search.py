"""
Do architectures rank under distillation as they rank under RL? Networks are drawn from a space and judged by cheap scores, and
each is trained by SB3's PPO with several seeds: the truth. Then what each way picks is trained with new seeds.

    python benchmarks/studies/search.py scores [--tasks 2-D 3-D Acrobot LunarLander]
    python benchmarks/studies/search.py truth  [--tasks 2-D] [--share 0/2]
    python benchmarks/studies/search.py tuned  [--tasks 2-D] [--share 0/2]
    python benchmarks/studies/search.py picks  [--tasks 2-D]
    python benchmarks/studies/search.py sets   [--tasks 2-D]
    python benchmarks/studies/search.py show   # or draw: docs/images/search-*.png

Scores are committed before the truth is computed. What is in results/search.json is not run again. Two processes can compute
the halves of a truth: ``truth --share 0/2 --into half`` writes results/half.json, and ``merge --into half`` puts it into
results/search.json.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.results import PICTURES, one_thread, read, write
from benchmarks.lib.search_tables import result_of, to_confirm
from benchmarks.lib.tasks_of_search import JUDGED_SEEDS, TASKS, SearchTask
from sb3_distill import SyntheticDataset, shipped_sets
from sb3_distill.generalisation.bootstrap import Estimate
from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.ranking.correlation import tau_b
from sb3_distill.search.ranking.picks import PickComparison, holm_family
from sb3_distill.search.ranking.pictures import truth_and_scores
from sb3_distill.search.score import Evaluator, Score
from sb3_distill.search.scores.distillation import DistillationScore, TaughtScore, shuffled
from sb3_distill.search.scores.proxies import PROXIES, ProxyScore
from sb3_distill.typing import Json

N_SHUFFLED = 3
"""Controls whose labels are shuffled."""
WAYS_AND_SHUFFLED = {
    "distillation": "shuffled labels 0",
    "distillation, unit variance, 30 steps": "shuffled labels 0, unit variance",
    "distillation, unit variance, 100 steps": "shuffled labels 0, unit variance, 100 steps",
}
"""Scores, and the control with labels in a random order that has the same recipe."""
RATES_TRIED, N_TUNED_SEEDS = (3e-4, 1e-3, 3e-3, 1e-2), 3
"""Learning rates of the truth that is tuned for each network, and its seeds."""
DRAWN = (
    "distillation, unit variance, 100 steps",
    "shuffled labels 0, unit variance, 100 steps",
    "offline",
    "parameters",
    "naswot",
    "taught",
)
"""Scores of the picture."""
NEW_SEEDS = range(2000, 2010)
"""Seeds of confirmations."""


def cheap(task: SearchTask) -> Iterator[Evaluator]:
    """Scores without RL, and early-stopped RL with one seed."""
    dataset, _ = task.set()
    for n_steps in (30, 100, 300):
        name = "distillation" if n_steps == 30 else f"distillation, {n_steps} steps"
        yield DistillationScore(dataset, n_steps, unit_variance=False, name=name)
    yield TaughtScore(dataset)
    for seed in range(N_SHUFFLED):
        yield DistillationScore(shuffled(dataset, seed), 30, unit_variance=False, name=f"shuffled labels {seed}")
    # Chosen on the truth of 2-D, before those of the other tasks were looked at.
    for n_steps in (30, 100):
        yield DistillationScore(dataset, n_steps, name=f"distillation, unit variance, {n_steps} steps")
    for seed in range(N_SHUFFLED):
        yield DistillationScore(shuffled(dataset, seed), 30, name=f"shuffled labels {seed}, unit variance")
        yield DistillationScore(shuffled(dataset, seed), 100, name=f"shuffled labels {seed}, unit variance, 100 steps")
    observations = task.observations(dataset)
    for name in PROXIES:
        yield ProxyScore(name, observations, dataset.info.observation_space, dataset.info.action_space)


class Results:
    """
    :param name: name of the file, without ending
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def keep(self, key: str, run: Callable[[], Json]) -> Json:
        """Run what is not there."""
        results = read(self.name)
        if key not in results:
            results = {**read(self.name), key: run()}
            write(self.name, results)
        return dict(results[key])


def scores(task: SearchTask, name: str, results: Results) -> None:
    """Draw the networks, and judge each by all that is cheap."""
    networks = task.networks()
    results.keep(f"{name}/standing", lambda: {**task.standing(), "networks": [network.to_json() for network in networks]})
    seconds = task.set()[1]
    for evaluator in cheap(task):
        results.keep(f"{name}/scores/{evaluator.name}", lambda evaluator=evaluator: _all(evaluator, networks, seconds))
        print(f"{name}: {evaluator.name}", flush=True)
    offline, seconds = task.offline()
    results.keep(f"{name}/scores/{offline.name}", lambda: _all(offline, networks, seconds))


def _all(evaluator: Evaluator, networks: list[PolicyArchitecture], fixed: float) -> Json:
    evaluator.score(networks[0], [0])  # what is loaded at first use is not part of the price
    judged = [evaluator.score(network, list(JUDGED_SEEDS)) for network in networks]
    return {
        "per_seed": [[float(f"{value:.6g}") for value in score.per_seed] for score in judged],
        "seconds": [round(score.seconds, 4) for score in judged],
        "fixed_seconds": fixed,
        "describe": evaluator.describe(),
    }


def truth(task: SearchTask, name: str, results: Results, share: tuple[int, int]) -> None:
    """Train each network by PPO, and by a third and a ninth of its budget with one seed of its own."""
    networks = task.networks()
    for index, network in enumerate(networks):
        if index % share[1] != share[0]:
            continue
        start = time.perf_counter()
        results.keep(f"{name}/truth/{index}", lambda network=network: _run(task.online(), network, range(task.n_seeds)))
        for part in (3, 9):
            budget = task.n_timesteps // part
            key = f"{name}/stopped/{part}/{index}"
            results.keep(key, lambda network=network, budget=budget: _run(task.online(), network, [1000], budget))
        if (seconds := time.perf_counter() - start) > 0.1:
            entry = results.keep(f"{name}/truth/{index}", dict)
            print(f"{name}/{index} {network}: {entry['per_seed']}, {seconds:.0f} s", flush=True)


def tuned(task: SearchTask, name: str, results: Results, share: tuple[int, int]) -> None:
    """The truth once more, at the learning rate that is best for each network by one seed of its own."""
    for index, network in enumerate(task.networks()):
        if index % share[1] == share[0]:
            entry = results.keep(f"{name}/tuned/{index}", partial(_tuned, task, network))
            print(f"{name}/{index} {network}: rate {entry['learning_rate']}, {entry['per_seed']}", flush=True)


def _tuned(task: SearchTask, network: PolicyArchitecture) -> Json:
    tries = {rate: task.online(learning_rate=rate).score(network, [1001]).mean for rate in RATES_TRIED}
    best = max(tries, key=lambda rate: tries[rate])
    return {**_run(task.online(learning_rate=best), network, range(N_TUNED_SEEDS)), "learning_rate": best}


def _run(evaluator: Evaluator, network: PolicyArchitecture, seeds: Sequence[int], budget: int | None = None) -> Json:
    score: Score = evaluator.score(network, list(seeds), budget)
    return {**score.to_json(), "per_seed": [round(value, 2) for value in score.per_seed], "seconds": round(score.seconds, 2)}


def picks(task: SearchTask, name: str, results: Results) -> None:
    """Train what each way picks, and the baselines, with seeds that nothing has seen."""
    for label, network in to_confirm(result_of(name, task, read("search"))).items():
        same = [
            entry
            for key, entry in read(results.name).items()
            if key.startswith(f"{name}/picks/") and entry["network"] == str(network)
        ]
        run = partial(dict, same[0]) if same else partial(_confirmed, task, network)
        entry = results.keep(f"{name}/picks/{label}", run)
        print(f"{name}: {label}, {network}: {sum(entry['per_seed']) / len(entry['per_seed']):.1f}", flush=True)


def _confirmed(task: SearchTask, network: PolicyArchitecture) -> Json:
    return {**_run(task.online(), network, NEW_SEEDS), "network": str(network)}


def sets(task: SearchTask, name: str, results: Results) -> None:
    """Which set ranks well: every shipped set of the task, and its labels in a random order, one seed of 100 steps."""
    networks, truths = task.networks(), result_of(name, task, read("search")).true_returns["truth"]
    for label in (one for one in shipped_sets() if one.split("/")[0] == task.env_id):
        dataset = SyntheticDataset.load(label)
        for kind, judge in (("", dataset), (", labels in a random order", shuffled(dataset))):
            evaluator = DistillationScore(judge)

            def run(evaluator: DistillationScore = evaluator, k: int = dataset.n_instances) -> Json:
                figures = [evaluator.score(network, [0]).mean for network in networks]
                return {"k": k, "tau_b": round(tau_b(truths, np.array(figures)), 3)}

            entry = results.keep(f"{name}/sets/{label}{kind}", run)
            print(f"{name}: {label}{kind}: k = {entry['k']}, tau-b {entry['tau_b']:.2f}", flush=True)


def show(names: list[str]) -> None:
    """Tables of all tasks whose truth is there, and one family of comparisons of all picks."""
    comparisons: list[PickComparison] = []
    for name in names:
        if any(f"{name}/truth/{index}" not in read("search") for index in range(TASKS[name].n_networks)):
            continue
        result = result_of(name, TASKS[name], read("search"))
        returns = result.true_returns["truth"].mean(axis=1)
        share = (np.median(returns) - TASKS[name].random) / (returns.max() - TASKS[name].random)
        print(f"## {name}: returns {returns.min():.0f} to {returns.max():.0f}, the median at {share:.0%} of the best\n")
        for columns, rows in (result.table(), result.ceiling_table()):
            _print(columns, rows)
        for way, shuffled_way in WAYS_AND_SHUFFLED.items():
            for control in (*PROXIES, shuffled_way):
                print(f"tau-b of {way} less that of {control}: {_text(result.difference(way, control))}")
        print()
        comparisons += [
            replace(one, pick=f"{name}: {one.pick}")
            for one in result.comparisons
            if one.baseline in ("64-64", "median", "random")
        ]
    columns = ["pick - baseline", "difference", "P(better)", "Welch p by Holm", "Mann-Whitney p by Holm"]
    _print(columns, [
        [f"{one.pick} - {one.baseline}", _text(one.difference), _text(one.improvement), f"{one.welch_holm:.2g}",
         f"{one.mann_whitney_holm:.2g}"] for one in holm_family(comparisons)
    ])  # fmt: skip


def draw(names: list[str]) -> None:
    """The truth of each task against the scores that the page speaks of, ``docs/images/search-<task>.png``."""
    for name in names:
        if f"{name}/truth/{TASKS[name].n_networks - 1}" in read("search"):
            result = result_of(name, TASKS[name], read("search"))
            shown = {score: result.scores[score] for score in DRAWN if score in result.scores}
            truth_and_scores(replace(result, scores=shown, costs={}), PICTURES / f"search-{name.lower()}.png")


def _text(found: Estimate) -> str:
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _print(columns: list[str], rows: list[list[str]]) -> None:
    print("|", " | ".join(columns), "|\n" + "|---" * len(columns) + "|")
    for row in rows:
        print("|", " | ".join(row), "|")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["scores", "truth", "tuned", "picks", "sets", "merge", "show", "draw"])
    parser.add_argument("--tasks", nargs="*", default=["2-D", "3-D", "Acrobot", "LunarLander"], choices=list(TASKS))
    parser.add_argument("--share", default="0/1", help="which part of the networks (default: all)")
    parser.add_argument("--into", default="search", help="name of the file of results (default: search)")
    options = parser.parse_args()
    one_thread()
    results = Results(options.into)
    first, n_shares = map(int, options.share.split("/"))
    if options.stage == "merge":
        write("search", {**read("search"), **read(options.into)})
    elif options.stage in ("show", "draw"):
        {"show": show, "draw": draw}[options.stage](options.tasks)
    else:
        stages = {
            "scores": scores,
            "truth": partial(truth, share=(first, n_shares)),
            "tuned": partial(tuned, share=(first, n_shares)),
            "picks": picks,
            "sets": sets,
        }
        for name in options.tasks:
            stages[options.stage](TASKS[name], name, results)


if __name__ == "__main__":
    main()
