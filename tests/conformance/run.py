"""
SB3's own tests as referee: download the sources of the installed stable-baselines3, put PPMO in PPO's place, and run the
tests that concern PPO.

    python tests/conformance/run.py [further arguments of pytest]
"""

import importlib.metadata
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

SELECTION = "PPMO or test_ppo or test_vec_with_ppo or test_vec_monitor_ppo or (test_tensorboard and ppo)"
# What may fail, and why, is explained in docs/conformance.md.
EXPECTED_FAILURES = {
    "test_tensorboard": "the log folder is called after the class, PPMO_1",
    "test_ppo_warnings": "expects the words «run PPO on the GPU»; PPMO's warning says PPMO",
    "test_discrete": "learning threshold at PPO's speed; passes with ten times the steps",
}
TARGET = 83


def main() -> int:
    version = importlib.metadata.version("stable-baselines3")
    here = Path(__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        download = ["pip", "download", "--quiet", "--no-deps", "--no-build-isolation", "--no-binary", ":all:"]
        subprocess.run([sys.executable, "-m", *download, "--dest", folder, f"stable-baselines3=={version}"], check=True)
        (archive,) = Path(folder).glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            root = archive.name.removesuffix(".tar.gz")
            wanted = [m for m in tar.getmembers() if m.name.startswith(f"{root}/tests") or m.name == f"{root}/pyproject.toml"]
            tar.extractall(folder, members=wanted, filter="data")
        command = [
            sys.executable,
            *["-m", "pytest", "-p", "swap_ppo_for_ppmo", "-p", "no:cacheprovider", "tests", "-k"],
            SELECTION,
        ]
        paths = [str(here), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
        command += ["-q", "-rfE", *sys.argv[1:]]
        run = subprocess.run(command, cwd=Path(folder) / root, env=environment, stdout=subprocess.PIPE, text=True)
        command[command.index("tests")] = "tests/test_identity.py"
        environment["TIMES"] = "10"
        slow = subprocess.run(command, cwd=Path(folder) / root, env=environment, stdout=subprocess.PIPE, text=True)
    print(run.stdout)
    passed = int((re.findall(r"(\d+) passed", run.stdout) or ["0"])[-1])
    failed = re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)", run.stdout, flags=re.MULTILINE)
    surprises = [name for name in failed if name not in EXPECTED_FAILURES]
    print(f"{passed} of SB3's own tests pass with PPMO in PPO's place (target {TARGET})")
    for name in sorted(set(failed)):
        print(f"  {name}: {EXPECTED_FAILURES.get(name, 'NOT EXPECTED')}")
    print(f"with ten times the steps: {slow.stdout.strip().splitlines()[-1]}")
    print("\n".join(re.findall(r"^FAILED.*", slow.stdout, flags=re.MULTILINE)))
    return 0 if passed >= TARGET and not surprises and slow.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
