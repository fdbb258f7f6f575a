"""
Coverage-guided attacks on the reader of dataset files, by atheris (``pip install atheris``), for an hour::

    python benchmarks/reliability/fuzz_atheris.py -max_total_time=3600 -print_final_stats=1 corpus/

Options are those of libFuzzer; a folder keeps the inputs that reached new code. An input is a whole file, or metadata that are
put into a file with a valid checksum. Each must load or raise ``DatasetError`` with the path, within five seconds and one
gigabyte, import nothing and write nothing; anything else ends the run, and leaves the input.
"""

import json
import sys
import tempfile
import warnings
from pathlib import Path

import atheris
import torch as th

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["sb3_distill", "safetensors"]):
    from benchmarks.lib.hostile import SPACES, packed, unpacked
    from benchmarks.reliability.fuzz import LARGE, SLOW, SMALL, Watch, peak
    from sb3_distill import DatasetError, SyntheticDataset, shipped_sets
    from sb3_distill.dataset.file import find

CONTENTS = [content for name in shipped_sets() if len(content := find(name).read_bytes()) < SMALL]
BASES = [unpacked(content) for content in CONTENTS]
WHOLE = 255
"""First byte of an input that is a whole file; other numbers choose the tensors that metadata come with."""


def content_of(data: bytes) -> bytes:
    """The file that an input means."""
    if not data or data[0] == WHOLE:
        return data[1:]
    return packed(BASES[data[0] % len(BASES)][0], data[1:].decode("utf-8", "replace"))


def write_seeds(folder: Path) -> None:
    """The inputs from which the search starts: shipped sets as files and as metadata, and spaces that lie."""
    for number, (content, (_, info)) in enumerate(zip(CONTENTS, BASES, strict=True)):
        (folder / f"file-{number}").write_bytes(bytes([WHOLE]) + content)
        for place, space in enumerate((info["observation_space"], *SPACES)):
            text = json.dumps({**info, "observation_space": space})
            (folder / f"metadata-{number}-{place}").write_bytes(bytes([number]) + text.encode())


def main() -> None:
    th.set_num_threads(1)
    warnings.simplefilter("ignore")
    watch = Watch()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        path, seeds = Path(folder) / "fuzz.safetensors", Path(folder) / "seeds"
        seeds.mkdir()
        write_seeds(seeds)
        for content in CONTENTS:  # what is imported late is imported now
            path.write_bytes(content)
            SyntheticDataset.load(path)

        def attack(data: bytes) -> None:
            path.write_bytes(content_of(data))
            watch.on = True
            try:
                SyntheticDataset.load(path)
            except DatasetError as error:
                if str(path) not in str(error):
                    raise RuntimeError("refused without a name") from error
            finally:
                watch.on = False
            if watch.seen:
                raise RuntimeError(f"loading did more: {dict(watch.seen)}")

        limit = (peak() + LARGE) >> 20
        options = [f"-timeout={SLOW:.0f}", f"-rss_limit_mb={limit}", f"-max_len={SMALL}"]
        atheris.Setup([sys.argv[0], *options, *sys.argv[1:], str(seeds)], attack)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
