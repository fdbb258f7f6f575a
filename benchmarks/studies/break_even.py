"""
Total cost against the number of agents wanted: distilling once and teaching each in one step, or PPO from scratch for each,
from the times that table4.py measured on one core. Returns are beside them: the two need not be equally good.

    python benchmarks/studies/break_even.py [--tasks HalfCheetah Hopper]
"""

import argparse
import math
import sys
import time
from pathlib import Path

import matplotlib
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.results import PICTURES, one_thread, read, write
from benchmarks.lib.score import best
from benchmarks.lib.suite import KINDS
from benchmarks.paper.table4 import SUITE
from sb3_distill import DistilledPolicy, SyntheticDataset, shipped_sets

matplotlib.use("agg")


def teaching_seconds(name: str, repeats: int = 20) -> float:
    """Seconds from a dataset in memory to a policy that acts."""
    dataset = SyntheticDataset.load(name)
    DistilledPolicy.from_dataset(dataset)
    start = time.perf_counter()
    for _ in range(repeats):
        DistilledPolicy.from_dataset(dataset)
    return (time.perf_counter() - start) / repeats


def main() -> None:
    import matplotlib.pyplot as plt

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", default=["HalfCheetah", "Hopper"], choices=list(SUITE.steps))
    options = parser.parse_args()
    one_thread()
    results, told = read("table4"), {}
    table = Table(title="Cost of n agents: distil once and teach, or PPO for each")
    columns = ("", "kind", "distil [s]", "return", "teach [ms]", "PPO [s]", "return of PPO", "break-even at")
    for column in columns:
        table.add_column(column, justify="right" if column else "left")
    figure, axes = plt.subplots(1, len(options.tasks), figsize=(4 * len(options.tasks), 3), squeeze=False)
    for axis, task in zip(axes[0], options.tasks, strict=True):
        ppo = results.get(f"{task}/ppo/0")
        if ppo is None:
            raise SystemExit(f"PPO on {task} is missing: table4.py --tasks {task} --kinds ppo")
        for kind in KINDS:
            entry, name = results.get(f"{task}/{kind}/0"), f"{task}-v4/{kind}"
            name = name if name in shipped_sets() else f"{task}-v4"
            if entry is None or name not in shipped_sets():
                continue
            teach = teaching_seconds(name)
            each = ppo["seconds"]
            point = math.ceil(entry["seconds"] / (each - teach))
            told[f"{task}/{kind}"] = {
                "distil_seconds": entry["seconds"], "teach_seconds": teach, "ppo_seconds": each, "break_even": point,
            }  # fmt: skip
            cells = (f"{entry['seconds']:.0f}", f"{best(entry):.0f}", f"{1000 * teach:.1f}", f"{each:.0f}", f"{best(ppo):.0f}")
            table.add_row(task, kind, *cells, str(point))
            agents = [2**i for i in range(11)]
            axis.plot(agents, [entry["seconds"] + n * teach for n in agents], label=f"distil, {kind}")
        axis.plot(agents, [n * each for n in agents], "k--", label="PPO from scratch")
        axis.set(xscale="log", yscale="log", xlabel="agents", ylabel="seconds in all", title=f"{task}-v4")
        axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(PICTURES / "break_even.png", dpi=120)
    write("break_even", told)
    Console().print(table)


if __name__ == "__main__":
    main()
