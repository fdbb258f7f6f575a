"""
Is this checkout as fast as another one? Both run the same pieces of work (``pieces.py``) in turns, each in a process of its
own, and the medians are compared: this is how "within 3 % of the commit before" is shown.

    git worktree add /tmp/before HEAD~1
    python benchmarks/speed/versions.py --against /tmp/before [--turns 7] [--pieces cart-pole images] [--write]

In every second turn the other checkout begins. Exits with 1 if a piece is slower than ``--limit`` percent, by medians of the
wall time. Nothing else should run on the machine; where something does, the CPU time of the process says more, but leaves out
the work of other processes and includes that of all threads. ``--write`` stores the result in results/versions.json.
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


def run_piece(piece: str, folder: Path) -> Json:
    """
    :param piece: a name of ``PIECES``
    :param folder: the checkout whose package does the work
    :return: what the piece prints
    :raises SystemExit: if the piece fails, or runs with another package
    """
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(folder / "envs"))), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, str(SCRIPT), piece], env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{piece} fails with {folder}:\n{done.stderr}")
    result: Json = json.loads(done.stdout.splitlines()[-1])
    if Path(result["checkout"]) != folder:
        raise SystemExit(f"{piece} ran with the package of {result['checkout']}, not of {folder}")
    return result


def compare(piece: str, this: Path, other: Path, turns: int) -> Json:
    """
    :param piece: a name of ``PIECES``
    :param this: this checkout
    :param other: the checkout to compare with
    :param turns: number of turns
    :return: steps, and for ``seconds`` and ``cpu_seconds`` those of all turns, their medians, the ratio of the medians and
        the ratios of the turns, this checkout to the other
    :raises SystemExit: if the two make different numbers of steps
    """
    runs: dict[Path, list[Json]] = {this: [], other: []}
    for turn in range(turns):
        for folder in (this, other) if turn % 2 == 0 else (other, this):
            runs[folder].append(run_piece(piece, folder))
    steps = {result["steps"] for results in runs.values() for result in results}
    if len(steps) > 1:
        raise SystemExit(f"{piece}: the checkouts make different numbers of steps, {steps}")
    compared: Json = {"steps": steps.pop()}
    for kind in ("seconds", "cpu_seconds"):
        ours, theirs = ([result[kind] for result in runs[folder]] for folder in (this, other))
        compared[kind] = {
            "this": ours, "other": theirs, "medians": [statistics.median(ours), statistics.median(theirs)],
            "ratio_of_medians": statistics.median(ours) / statistics.median(theirs),
            "ratios": [one / another for one, another in zip(ours, theirs, strict=True)],
        }  # fmt: skip
    return compared


def commit_of(folder: Path) -> str:
    """The commit of a checkout, with a plus if files differ from it; "unknown" outside of Git."""
    describe = ["git", "-C", str(folder), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    done = subprocess.run(describe, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def show(results: Json, turns: int) -> None:
    table = Table(title=f"PPMO.learn, {turns} turns; ratios: this / other")
    for column in ("", "this [s]", "other [s]", "medians", "turns", "CPU: medians", "turns"):
        table.add_column(column, justify="right" if column else "left")
    for piece, row in results.items():
        cells = [f"{seconds:.2f}" for seconds in row["seconds"]["medians"]]
        for times in (row["seconds"], row["cpu_seconds"]):
            cells += [f"{times['ratio_of_medians']:.3f}", f"{min(times['ratios']):.3f} to {max(times['ratios']):.3f}"]
        table.add_row(piece, *cells)
    Console(width=100).print(table)


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
        print(f"{piece}: {results[piece]['seconds']['ratio_of_medians']:.3f}", flush=True)
    show(results, options.turns)
    if options.write:
        write("versions", {"commits": commits, "pieces": results})
    slower = [piece for piece, row in results.items() if row["seconds"]["ratio_of_medians"] > 1 + options.limit / 100]
    print(f"slower by more than {options.limit:g} %: {', '.join(slower) or 'none'}")
    return int(bool(slower))


if __name__ == "__main__":
    sys.exit(main())
