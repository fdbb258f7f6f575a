"""
Make the shipped sets ``<task>/carry``: ridge sets of large tasks with the loop and the strength that
``benchmarks/studies/carry.py chosen`` found, where learners of the usual network are better by it (95 % interval).

    python benchmarks/studies/carry.py chosen Ant-v4 ...
    python benchmarks/make/carried_sets.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.results import DATASETS, read
from benchmarks.studies.carry import NAME, difference_of_means
from sb3_distill import SyntheticDataset, evaluate_learners
from sb3_distill.inner_loop.carry import Carry


def main() -> None:
    for key, row in read(NAME).items():
        _, is_chosen, name = key.partition("chosen/")
        if not is_chosen:
            continue
        low, _ = difference_of_means(row["ridge"]["learners"], row["carry"]["learners"])
        if low <= 0:
            print(f"{name}: not better")
            continue
        dataset = SyntheticDataset.load(name).with_inner_loop(Carry(row["strength"]))
        kinds = ("greedy", "sampled") if row["deterministic"] else ("sampled", "greedy")
        other = evaluate_learners(dataset, 20, 2, not row["deterministic"], seed=2).summary()
        dataset.info.scores = dict(zip(kinds, (row["carry"]["own"], other), strict=True))
        dataset.save(DATASETS / f"{name}--carry.safetensors")
        print(f"{name}: {dataset}")


if __name__ == "__main__":
    main()
