"""
Is this checkout as fast as another one? Both run the same pieces of work (``pieces.py``) in turns, each in a process of its
own, and the medians are compared: this is how "within 3 % of the commit before" is shown.

    git worktree add /tmp/before HEAD~1
    python benchmarks/speed/versions.py --against /tmp/before [--turns 7] [--pieces cart-pole images] [--write]

In every second turn the other checkout begins. Exits with 1 if a piece is slower than ``--limit`` percent, by medians. Nothing
else should run on the machine. ``--write`` stores the result in results/versions.json.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.results import REPOSITORY, write
from benchmarks.speed.pieces import PIECES
from sb3_distill.typing import Json

SCRIPT = Path(__file__).with_name("pieces.py")


def run_piece(piece: str, folder: Path) -> tuple[float, int]:
    """
    :param piece: a name of ``PIECES``
    :param folder: the checkout whose package does the work
    :return: seconds, and environment steps
    :raises SystemExit: if the piece fails, or runs with another package
    """
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(folder / "envs"))), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, str(SCRIPT), piece], env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{piece} fails with {folder}:\n{done.stderr}")
    result = json.loads(done.stdout.splitlines()[-1])
    if Path(result["checkout"]) != folder:
        raise SystemExit(f"{piece} ran with the package of {result['checkout']}, not of {folder}")
    return result["seconds"], result["steps"]


def compare(piece: str, this: Path, other: Path, turns: int) -> Json:
    """
    :param piece: a name of ``PIECES``
    :param this: this checkout
    :param other: the checkout to compare with
    :param turns: number of turns
    :return: seconds of all turns, their medians, and ratios of this checkout to the other
    """
    seconds: dict[Path, list[float]] = {this: [], other: []}
    steps = {}
    for turn in range(turns):
        for folder in (this, other) if turn % 2 == 0 else (other, this):
            taken, steps[folder] = run_piece(piece, folder)
            seconds[folder].append(taken)
    if steps[this] != steps[other]:
        raise SystemExit(f"{piece}: {steps[this]} steps in {this}, but {steps[other]} in {other}")
    ratios = [ours / theirs for ours, theirs in zip(seconds[this], seconds[other], strict=True)]
    medians = {folder: statistics.median(values) for folder, values in seconds.items()}
    return {
        "steps": steps[this], "this_seconds": seconds[this], "other_seconds": seconds[other], "this": medians[this],
        "other": medians[other], "ratio_of_medians": medians[this] / medians[other],
        "median_of_ratios": statistics.median(ratios), "ratios": ratios,
    }  # fmt: skip


def commit_of(folder: Path) -> str:
    """The commit of a checkout, with a plus if files differ from it; "unknown" outside of Git."""
    describe = ["git", "-C", str(folder), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    done = subprocess.run(describe, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def show(results: Json, turns: int) -> None:
    table = Table(title=f"Seconds of PPMO.learn, medians of {turns} turns")
    for column in ("", "this", "other", "this / other", "median of ratios", "least", "most"):
        table.add_column(column, justify="right" if column else "left")
    for piece, row in results.items():
        values = (row["ratio_of_medians"], row["median_of_ratios"], min(row["ratios"]), max(row["ratios"]))
        table.add_row(piece, f"{row['this']:.2f}", f"{row['other']:.2f}", *(f"{value:.3f}" for value in values))
    Console().print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, required=True, help="folder of another checkout")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--pieces", nargs="*", default=list(PIECES), choices=list(PIECES))
    parser.add_argument("--limit", type=float, default=3.0, help="percent that this checkout may be slower")
    parser.add_argument("--write", action="store_true", help="store the result in results/versions.json")
    options = parser.parse_args()
    this, other = REPOSITORY.resolve(), options.against.resolve()
    if not (other / "sb3_distill").is_dir():
        raise SystemExit(f"{other} is no checkout: it has no folder sb3_distill")
    commits = {"this": commit_of(this), "other": commit_of(other)}
    print(f"this: {commits['this']}, other: {commits['other']}")
    results: Json = {}
    for piece in options.pieces:
        results[piece] = compare(piece, this, other, options.turns)
        print(f"{piece}: {results[piece]['ratio_of_medians']:.3f}", flush=True)
    show(results, options.turns)
    if options.write:
        write("versions", {"commits": commits, "pieces": results})
    slower = [piece for piece, row in results.items() if row["ratio_of_medians"] > 1 + options.limit / 100]
    print(f"slower by more than {options.limit:g} %: {', '.join(slower) or 'none'}")
    return int(bool(slower))


if __name__ == "__main__":
    sys.exit(main())
