"""
Table 3 of Wilhelm & Ventura (2025): what distilling a game costs, and from how many agents on it is cheaper than reinforcement
learning, from the runs of table2.py and the times of atari_speed.py.

    python benchmarks/paper/table3.py
"""

import argparse
import math
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.results import read, write
from benchmarks.paper.table2 import GAMES, LEVELS, settings_of


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    runs, teach = read("table2"), read("atari_speed")["teach_seconds"]["build and teach"]
    table = Table(title=f"Cost; teaching an agent takes {teach:.2f} s")
    columns = (
        "",
        "layers in the encoder",
        "s per iteration",
        "iterations",
        "million steps",
        "datapoints",
        "on",
        "hours in all",
        "pays from",
    )
    for column in columns:
        table.add_column(column, justify="right" if column else "left")
    told = {}
    for game in GAMES:
        agent = runs.get(f"{game}/{LEVELS[0]}")
        for level in LEVELS:
            entry = runs.get(f"{game}/{level}")
            if entry is None:
                continue
            seconds = entry.get("seconds_in_all")  # with the levels that it started from, unless they had another device
            comparable = seconds and level < LEVELS[0] and agent is not None and entry["device"] == agent["device"]
            n_from = math.ceil(seconds / (agent["seconds"] - teach)) if comparable and agent else None
            steps, n_epochs = entry["level_timesteps"], settings_of(game)["n_epochs"]
            told[f"{game}/{level}"] = {
                "seconds_per_iteration": entry["seconds"] / entry["iterations"], "iterations": entry["iterations"],
                "timesteps": steps, "datapoints": steps * n_epochs, "seconds_in_all": seconds, "pays_from": n_from,
            }  # fmt: skip
            table.add_row(
                game, str(level), f"{entry['seconds'] / entry['iterations']:.2f}", f"{entry['iterations']:,}",
                f"{steps / 1e6:.2f}", f"{steps * n_epochs:,}", entry["device"],
                "-" if seconds is None else f"{seconds / 3600:.2f}", "-" if n_from is None else f"{n_from} agents",
            )  # fmt: skip
    write("table3", told)
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
