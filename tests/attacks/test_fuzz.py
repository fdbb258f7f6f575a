"""Ten thousand files of an attacker: each loads or is refused by its name, and none does anything else."""

import pytest

pytest.importorskip("resource")
from benchmarks.reliability.fuzz import Watch, fuzz


@pytest.mark.filterwarnings("ignore")
def test_ten_thousand_files_load_or_are_refused():
    counts = fuzz(10_000, seed=20, watch=Watch())
    assert {name: count for name, count in counts.items() if name.startswith("FAULT")} == {}
    assert sum(count for name, count in counts.items() if ": " in name) == 10_000
    assert min(counts["hostile: loaded"], counts["hostile: refused"], counts["mutated: refused"]) > 100
