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
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

WHOLE = 255
"""First byte of an input that is a whole file; other numbers choose the set whose tensors metadata come with."""


def write_seeds(folder: Path, contents: Sequence[bytes]) -> None:
    """The inputs from which the search starts: shipped sets as files and as metadata, and spaces that lie."""
    from benchmarks.lib.hostile import SPACES, unpacked

    for number, content in enumerate(contents):
        (folder / f"file-{number}").write_bytes(bytes([WHOLE]) + content)
        _, info = unpacked(content)
        for place, space in enumerate((info["observation_space"], *SPACES)):
            text = json.dumps({**info, "observation_space": space})
            (folder / f"metadata-{number}-{place}").write_bytes(bytes([number]) + text.encode())


def fuzz(folder: Path) -> None:
    """
    :param folder: folder for the file that is read, and for the seeds
    """
    import atheris

    with atheris.instrument_imports(include=["sb3_distill", "safetensors"]):
        from benchmarks.lib.hostile import packed, unpacked
        from benchmarks.reliability.fuzz import LARGE, SLOW, SMALL, Watch, peak
        from sb3_distill import DatasetError, SyntheticDataset, shipped_sets
        from sb3_distill.dataset.file import find

    contents = [content for name in shipped_sets() if len(content := find(name).read_bytes()) < SMALL]
    tensors = [unpacked(content)[0] for content in contents]
    path, seeds, watch = folder / "fuzz.safetensors", folder / "seeds", Watch()
    seeds.mkdir()
    write_seeds(seeds, contents)
    for content in contents:  # what is imported late is imported now
        path.write_bytes(content)
        SyntheticDataset.load(path)

    def attack(data: bytes) -> None:
        is_whole = not data or data[0] == WHOLE
        path.write_bytes(
            data[1:] if is_whole else packed(tensors[data[0] % len(tensors)], data[1:].decode("utf-8", "replace"))
        )
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


def main() -> None:
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        fuzz(Path(folder))


if __name__ == "__main__":
    main()
