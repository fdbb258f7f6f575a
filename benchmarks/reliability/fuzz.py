"""
Hostile dataset files: mutations of real ones, and metadata of an attacker's choice under a valid checksum.

Each file must load, or raise ``DatasetError`` that names it. Counted are other errors, files that take long or much memory,
modules that are imported and files that are written meanwhile::

    python benchmarks/reliability/fuzz.py --n 1000000 --seed 1
"""

import argparse
import json
import random
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch as th

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.lib.hostile import metadata, packed, unpacked
from sb3_distill import DatasetError, SyntheticDataset, shipped_sets
from sb3_distill.dataset.file import find

SLOW, LARGE = 5.0, 2**30
"""Seconds that one file may take, and bytes of memory."""
SMALL = 20_000
"""Largest size of the files that mutations start from."""
WATCHED = ("import", "open", "os.system", "os.mkdir", "os.rename", "os.remove", "subprocess.Popen", "socket.connect", "exec")
"""Events of Python's audit that loading a file must not cause (``open`` for writing only)."""


class Watch:
    """Counts what Python's audit hook tells of while ``on`` is set."""

    def __init__(self) -> None:
        self.on, self.seen = False, Counter[str]()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.on or event not in WATCHED:
            return
        if event == "open" and not (isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")):
            return
        self.seen[f"{event} {arguments[0]}"] += 1


def mutated(content: bytes, rng: random.Random) -> bytes:
    """A file with a few bytes changed, cut, doubled or moved, most often in its header."""
    data = bytearray(content)
    end = len(data) if rng.random() < 0.3 else min(len(data), 8 + int.from_bytes(data[:8], "little"))
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(max(end, 1))
        kind = rng.randrange(6)
        if kind == 0 and data:
            data[at % len(data)] = rng.randrange(256)
        elif kind == 1:
            del data[at : at + rng.randrange(1, 64)]
        elif kind == 2:
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
        elif kind == 3:
            data[at:at] = data[at : at + rng.randrange(1, 64)]
        elif kind == 4:
            data[at : at + 1] = rng.choice((b"9", b"0", b"-", b"{", b"[", b'"', b"\\", b"\xff", b"e", b"1e999"))
        else:
            data[:8] = rng.choice((0, 1, 2, len(data), 2**31, 2**63, rng.randrange(2 * len(data) + 9))).to_bytes(8, "little")
    return bytes(data)


def generator(rng: random.Random) -> Callable[[], tuple[str, bytes]]:
    """:return: a function that makes a kind and the content of a file"""
    contents = [find(name).read_bytes() for name in shipped_sets()]
    contents = [content for content in contents if len(content) < SMALL]
    bases = [unpacked(content) for content in contents]

    def make() -> tuple[str, bytes]:
        if rng.random() < 0.4:
            return "mutated", mutated(rng.choice(contents), rng)
        tensors, info = rng.choice(bases)
        tensors, text = metadata(tensors, info, rng)
        return "hostile", packed(tensors, text)

    return make


def fuzz(n: int, seed: int, watch: Watch, keep: Path | None = None) -> dict[str, int]:
    """
    :param n: number of files
    :param seed: seed of the generator
    :param watch: counts what loading does besides
    :param keep: folder for files that fail; ``None`` to forget them
    :return: counts of outcomes by name, and the worst of time and memory
    """
    rng, counts = random.Random(seed), Counter[str]()
    make, worst, first = generator(rng), 0.0, peak()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        path = Path(folder) / "fuzz.safetensors"
        for number in range(n):
            kind, content = make()
            path.write_bytes(content)
            start, before, outcome = time.perf_counter(), peak(), "loaded"
            watch.on = True
            try:
                SyntheticDataset.load(path)
            except DatasetError as error:
                outcome = "refused" if str(path) in str(error) else "refused without a name"
            except BaseException as error:
                outcome = f"raw {type(error).__name__}"
            finally:
                watch.on = False
            seconds = time.perf_counter() - start
            worst = max(worst, seconds)
            counts[f"{kind}: {outcome}"] += 1
            faults = [outcome] if outcome not in ("loaded", "refused") else []
            faults += ["slow"] if seconds > SLOW else []
            faults += ["large"] if peak() - before > LARGE else []
            counts.update(f"FAULT {fault}" for fault in faults)
            if faults and keep is not None:
                (keep / f"{seed}-{number}-{faults[0].replace(' ', '-')}.safetensors").write_bytes(content)
    counts.update({f"FAULT {event}": count for event, count in watch.seen.items()})
    counts["milliseconds of the slowest file"] = round(1000 * worst)
    counts["MiB of memory that all files added"] = (peak() - first) >> 20
    return dict(sorted(counts.items()))


def peak() -> int:
    """Largest memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000, help="number of files (default: 10000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for files that fail")
    options = parser.parse_args()
    th.set_num_threads(1)
    warnings.simplefilter("ignore")
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    counts = fuzz(options.n, options.seed, Watch(), options.keep)
    print(json.dumps({**counts, "seconds": round(time.perf_counter() - start, 1)}, indent=2))
    return int(any(name.startswith("FAULT") for name in counts))


if __name__ == "__main__":
    sys.exit(main())
