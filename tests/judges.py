"""
A judge of architectures that costs nothing, for tests of searches.

``python tests/judges.py STORAGE TRIALS LOG [SECONDS [SAMPLER]]`` is a worker; it writes a line when a judgement begins and one
when it ends. With ``fork`` before the storage, it starts a worker for each line that it reads.
"""

import os
import sys
import time

from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.score import Score
from sb3_distill.search.space import SearchSpace

SPACE = {"width": {"low": 8, "high": 256}, "depth": [1, 2, 3, 4], "activation": ["tanh", "relu"], "layer_norm": [False, True]}
"""About two thousand architectures."""
SMALL = {"width": [8, 16, 32], "activation": ["tanh", "relu"]}
"""Six of them."""


class Judge:
    """Scores an architecture by its widths; the best one has two layers of 100 units."""

    def __init__(self, name="judge", seconds=0.0, log=None, refuses=lambda architecture: False, budget=90):
        self.name = name
        self.budget = budget
        self.seconds = seconds
        self.log = log
        self.refuses = refuses
        self.calls = []

    def score(self, architecture, seeds, budget=None):
        self.calls.append((architecture.key, budget))
        self._write("begins", architecture)
        if self.refuses(architecture):
            raise ValueError("the kernels are larger than what they see")
        time.sleep(self.seconds)
        value = -abs(sum(architecture.widths) - 200) - abs(len(architecture.widths) - 2)
        self._write("ends", architecture)
        return Score(tuple(value + 0.01 * seed for seed in seeds), self.seconds, self.budget if budget is None else budget)

    def describe(self):
        return {"name": self.name, "budget": self.budget}

    def _write(self, what, architecture: PolicyArchitecture):
        if self.log is not None:
            with open(self.log, "a") as file:
                file.write(f"{what} {os.getpid()} {time.monotonic()} {architecture.key}\n")


def work(journal, trials, log, seconds=0.0, sampler="tpe"):
    """One worker."""
    from sb3_distill.search.study.run import search

    search(SearchSpace.parse(SPACE), [Judge(log=log, seconds=float(seconds))], int(trials), (0, 1), journal, sampler)


def fork_workers(*arguments):
    """For each line of the input, start a worker that has all imports already, and print the number of its process."""
    import sb3_distill.search.study.run  # noqa: F401
    from sb3_distill.search.study.storage import import_optuna

    import_optuna()
    for _ in sys.stdin:
        if (pid := os.fork()) == 0:
            work(*arguments)
            os._exit(0)
        print(pid, flush=True)
    while True:  # each must have ended well, or have been killed
        try:
            _, status = os.wait()
        except ChildProcessError:
            break
        assert os.waitstatus_to_exitcode(status) in (0, -9)


if __name__ == "__main__":
    if sys.argv[1] == "fork":
        fork_workers(*sys.argv[2:])
    else:
        work(*sys.argv[1:])
