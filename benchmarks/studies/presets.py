"""
Do the zoo's cart-pole entries learn from every seed? Each entry of ``ppmo.yml`` is run as it stands, and 50 fresh learners
play two episodes each.

    python benchmarks/studies/presets.py [--axes 1 2 3 4 5] [--seeds 0 1 ... 9]
    python benchmarks/studies/presets.py --show

What is in results/presets.json is not run again, unless the entry has changed.
"""

import argparse
import itertools
import sys
import time
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
import sb3_distill
from benchmarks.lib.results import one_thread, read, write
from benchmarks.lib.score import WAYS, score
from sb3_distill import PPMO, make_vec_env
from sb3_distill.typing import Json

ENTRIES = Path(sb3_distill.__file__).parent / "zoo_configs" / "ppmo.yml"


def run(axes: int, seed: int) -> None:
    """Run one seed of an entry, unless it is there."""
    task = f"NDCartPole{axes}D-v0"
    entry: Json = yaml.safe_load(ENTRIES.read_text())[task]
    cell = f"{axes}/{seed}"
    if read("presets").get(cell, {}).get("entry") == entry:
        return
    settings = {key: value for key, value in entry.items() if key not in ("n_envs", "n_timesteps", "policy")}
    env = make_vec_env(task, entry["n_envs"], seed=seed)
    start = time.perf_counter()
    model = PPMO(entry["policy"], env, seed=seed, device="cpu", **settings).learn(int(entry["n_timesteps"]))
    seconds = time.perf_counter() - start
    scores = score(model.dataset, n_learners=50, n_episodes=2)
    means = {way: round(scores[way]["mean"], 1) for way in WAYS}
    print(f"{cell}: {means}, {seconds:.0f} s", flush=True)
    write("presets", {**read("presets"), cell: {**means, "seconds": round(seconds, 1), "entry": entry}})


def show() -> None:
    """Worst and median seed of each entry."""
    print("| axes | seeds | worst sampled | worst greedy | seeds below 475 |\n" + "|---" * 5 + "|")
    by_axes: dict[str, Json] = {}
    for cell, entry in read("presets").items():
        axes, is_cell, seed = cell.partition("/")
        if is_cell:
            by_axes.setdefault(axes, {})[int(seed)] = entry
    for axes, entries in sorted(by_axes.items()):
        failed = sorted(seed for seed, entry in entries.items() if min(entry[way] for way in WAYS) < 475)
        worst = [f"{min(entry[way] for entry in entries.values()):.1f}" for way in WAYS]
        print("|", " | ".join([axes, str(len(entries)), *worst, ", ".join(map(str, failed)) or "none"]), "|")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--axes", nargs="*", type=int, default=[1, 2, 3, 4, 5], choices=[1, 2, 3, 4, 5])
    parser.add_argument("--seeds", nargs="*", type=int, default=list(range(10)))
    parser.add_argument("--show", action="store_true", help="only show the table")
    options = parser.parse_args()
    one_thread()
    for axes, seed in [] if options.show else itertools.product(options.axes, options.seeds):
        run(axes, seed)
    show()


if __name__ == "__main__":
    main()
