"""
Do architectures rank under distillation as they rank under RL? Networks are drawn from a space and judged by cheap scores, and
each is trained by SB3's PPO with several seeds: the truth. Then what each way picks is trained with new seeds.

    python benchmarks/studies/search.py scores [--tasks 2-D 3-D Acrobot LunarLander]
    python benchmarks/studies/search.py truth  [--tasks 2-D] [--share 0/2]
    python benchmarks/studies/search.py picks  [--tasks 2-D]
    python benchmarks/studies/search.py show

Scores are committed before the truth is computed. What is in results/search.json is not run again; ``--share 0/2`` and
``--share 1/2`` let two processes compute the halves of a truth, each into a file of its own (``--into``), see ``merge``.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.results import one_thread, read, write
from benchmarks.lib.tasks_of_search import JUDGED_SEEDS, TASKS, SearchTask
from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.score import Evaluator, Score
from sb3_distill.search.scores.distillation import DistillationScore, TaughtScore, shuffled
from sb3_distill.search.scores.proxies import PROXIES, ProxyScore
from sb3_distill.typing import Json

N_SHUFFLED = 3
"""Controls whose labels are shuffled."""


def cheap(task: SearchTask) -> Iterator[Evaluator]:
    """Scores without RL, and early-stopped RL with one seed."""
    dataset, _ = task.set()
    for n_steps in (30, 100, 300):
        yield DistillationScore(dataset, n_steps, name="distillation" if n_steps == 30 else f"distillation, {n_steps} steps")
    yield TaughtScore(dataset)
    for seed in range(N_SHUFFLED):
        yield DistillationScore(shuffled(dataset, seed), name=f"shuffled labels {seed}")
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


def _run(evaluator: Evaluator, network: PolicyArchitecture, seeds: range | list[int], budget: int | None = None) -> Json:
    score: Score = evaluator.score(network, list(seeds), budget)
    return {**score.to_json(), "per_seed": [round(value, 2) for value in score.per_seed], "seconds": round(score.seconds, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["scores", "truth"])
    parser.add_argument("--tasks", nargs="*", default=["2-D", "3-D", "Acrobot", "LunarLander"], choices=list(TASKS))
    parser.add_argument("--share", default="0/1", help="which part of the networks (default: all)")
    parser.add_argument("--into", default="search", help="name of the file of results (default: search)")
    options = parser.parse_args()
    one_thread()
    first, n_shares = map(int, options.share.split("/"))
    for name in options.tasks:
        if options.stage == "scores":
            scores(TASKS[name], name, Results(options.into))
        else:
            truth(TASKS[name], name, Results(options.into), (first, n_shares))


if __name__ == "__main__":
    main()
