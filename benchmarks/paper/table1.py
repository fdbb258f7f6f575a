"""
Table 1 of Wilhelm & Ventura (2025), Lambda column: 100 fresh learners x 100 episodes, sampled actions.

    python benchmarks/paper/table1.py                 # the shipped sets (k = N + 1)
    python benchmarks/paper/table1.py --large         # also k = 512 (distilled here, minutes each) and k = 2 in 2-D
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.cartpole import distil
from benchmarks.lib.results import one_thread, read, write
from sb3_distill import SyntheticDataset, evaluate_learners
from sb3_distill.typing import Json

PAPER = {
    "1-D k=2": "500 ± 0.0", "2-D k=3": "365 ± 31.9", "3-D k=4": "264 ± 20.6", "4-D k=5": "127 ± 7.4", "5-D k=6": "87.5 ± 4.3",
    "1-D k=512": "500 ± 0.0", "2-D k=512": "350 ± 37.2", "3-D k=512": "240 ± 26.1", "4-D k=512": "129 ± 6.8",
    "5-D k=512": "87.5 ± 4.0", "2-D k=2": "40.6", "10-D k=11": "-",
}  # fmt: skip


def evaluate(dataset: SyntheticDataset | str) -> Json:
    return {kind: evaluate_learners(dataset, 100, 100, kind == "greedy", seed=1).summary() for kind in ("sampled", "greedy")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="distil and evaluate k = 512 for 1-D to 5-D, and k = 2 in 2-D")
    parser.add_argument("--only", nargs="*", default=None, help="names of rows, e.g. '2-D k=512'")
    options = parser.parse_args()
    one_thread()
    results = {key: value for key, value in read("table1").items() if key != "machine"}
    rows = [(n, n + 1) for n in (1, 2, 3, 4, 5, 10)]
    if options.large:
        rows += [(2, 2), *((n, 512) for n in range(1, 6))]
    for n_dims, k in rows:
        row = f"{n_dims}-D k={k}"
        if options.only is not None and row not in options.only:
            continue
        if k == n_dims + 1:
            results[row] = evaluate(f"NDCartPole{n_dims}D-v0")
        else:
            # With 512 instances teaching is the larger part of the work: fewer learners, and more transitions per update.
            large = dict(n_learners=8, n_epochs=4, batch_size=4096 if n_dims == 1 else 8192)
            model, seconds = distil(n_dims, seed=0, n_instances=k, progress_bar=True, **large)
            results[row] = {**evaluate(model.dataset), "seconds": seconds, "steps": model.num_timesteps}
        write("table1", results)

    table = Table(title="ND cart-pole, Lambda column: mean ± sd over 100 learners of 100 episodes")
    for column in ("", "sampled", "greedy", "paper (sampled)"):
        table.add_column(column)
    for row, result in results.items():
        cells = [f"{result[kind]['mean']:.1f} ± {result[kind]['std']:.1f}" for kind in ("sampled", "greedy")]
        table.add_row(row, *cells, PAPER.get(row, "-"))
    Console().print(table)


if __name__ == "__main__":
    main()
