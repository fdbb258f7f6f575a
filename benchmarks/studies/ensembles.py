"""
Ensembles of taught learners against the best member, which is chosen on other episodes.

Fixed before anything was scored: the tasks below, the rule of "auto" (sb3_distill/ensemble/rules.py), the sizes, and what
counts. A task is scored with sampled or greedy actions, whichever has the higher mean in the file of its set; the authors'
sets with sampled ones, as in the paper. Two ensembles are scored under "auto": all 25 members, and the elite, the 5 members
that are best on the selection episodes. A task counts as gained if one of the two beats the best member with a 95 % interval
above 0 (hierarchical bootstrap: draws of members, then episodes), both with the same kind of actions. It counts as gained in
the strict sense if the best member of the better kind of actions is beaten so. The goal is 6 of 10, and no task where the
ensemble of all members is below with an interval below 0.

"members" is not one of the ten: the 2-D set that teaches Xavier networks badly in one step, and how many of them together play
well.

Each draw of members is a piece, whose returns lie in runs/ensembles/; a run that was cut off goes on behind the last one.
`--confirm` scores other draws, for what was chosen after the first ones were seen.

    python benchmarks/studies/ensembles.py [--tasks NAME ...] [--reference FOLDER] [--draws 10] [--confirm] [--show] [--speed]
"""

import argparse
import itertools
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from stable_baselines3.common.policies import BasePolicy

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.checks.reference_sets import read_reference
from benchmarks.lib.results import PICTURES, RUNS, one_thread, read, write
from sb3_distill import DistilledEnsemble, DistilledPolicy, SyntheticDataset, evaluate_ensemble, make_vec_env
from sb3_distill.ensemble import Contest, EnsembleEvaluation
from sb3_distill.ensemble.pictures import return_against_size
from sb3_distill.ensemble.result import in_words
from sb3_distill.ensemble.rules import OF_CHOICES
from sb3_distill.typing import Json

XAVIER: Json = {"init": "xavier_normal"}
"""The Xavier column of Table 1."""
N_MEMBERS, ELITE, N_DRAWS = 25, 5, 10
FEWEST = 3
"""Smallest number of draws of a task that counts: an interval over one draw has only episodes in it."""
CONFIRMING = 1_000
"""Seed of the first draw that confirms."""


@dataclass(frozen=True)
class Task:
    """
    :param dataset: name of a shipped set, or of a file of the authors
    :param sampled: whether sampled actions are scored, or greedy ones
    :param both: whether the other kind of actions is measured too
    :param learner_distribution: which members; ``None`` for the policy as it initialises itself
    :param n_select: selection episodes of each member
    :param n_episodes: episodes of each ensemble, and of the best member
    :param rules: rules of combination beside "auto", tried too
    :param n_members: number of members
    :param sizes: sizes of ensembles
    """

    dataset: str
    sampled: bool
    both: bool = True
    learner_distribution: Json | None = None
    n_select: int = 5
    n_episodes: int = 20
    rules: tuple[str, ...] = ()
    n_members: int = N_MEMBERS
    sizes: tuple[int, ...] = (1, ELITE, N_MEMBERS)

    @property
    def kind(self) -> str:
        """The kind of actions that counts."""
        return "sampled" if self.sampled else "greedy"


CHOICES = ("logits", "probs", "vote")
CHEAP: Json = dict(n_select=20, n_episodes=100)
TASKS = {
    "4-D k5 (authors)": Task("ndcartpole-4d-k5", True, rules=CHOICES, **CHEAP),
    "2-D k3 (authors)": Task("ndcartpole-2d-k3", True, rules=CHOICES, **CHEAP),
    "3-D Xavier": Task("NDCartPole3D-v0/wide-sgd-raw", True, learner_distribution=XAVIER, rules=CHOICES, **CHEAP),
    "Pendulum": Task("Pendulum-v1", True, rules=("median",), **CHEAP),
    "HalfCheetah": Task("HalfCheetah-v4/sgd", False, both=False),
    "Hopper": Task("Hopper-v4/sgd", False, both=False),
    "Walker2d": Task("Walker2d-v4/sgd", False, both=False),
    "Ant": Task("Ant-v4/sgd", False, both=False),
    "Humanoid": Task("Humanoid-v4/sgd", True),
    "MsPacman": Task("MsPacmanRAM-v0/sgd", True, both=False),
}
"""Tasks on which the best member is expected below 98 % of the most there is."""
MEMBERS = "members"
ALL = {
    **TASKS,
    MEMBERS: Task(
        "NDCartPole2D-v0/wide-sgd-raw", True, learner_distribution=XAVIER, rules=CHOICES, n_members=32,
        sizes=(1, 2, 4, 8, 16, 32), **CHEAP,
    ),
}  # fmt: skip
FILE = "ensembles"
PICTURED = ("vote-sampled", "logits")
"""Rules in the picture."""
TURNS, CALLS = 20, 100
"""Turns of the measurement of speed, and calls in each."""


def dataset_of(task: Task, reference: Path | None) -> SyntheticDataset | None:
    """The set of a task; ``None`` for one of the authors whose folder is not there."""
    if not task.dataset.startswith("ndcartpole"):
        return SyntheticDataset.load(task.dataset)
    return None if reference is None else read_reference(reference / f"{task.dataset}.safetensors")


def path_of(name: str, seed: int) -> Path:
    """Where the returns of a draw lie."""
    return RUNS / FILE / f"{name.replace(' ', '_')}-{seed}.npz"


def piece(name: str, dataset: SyntheticDataset, seed: int) -> EnsembleEvaluation:
    """One draw of members, played or read."""
    task = ALL[name]
    path = path_of(name, seed)
    if path.exists():
        with np.load(path, allow_pickle=False) as stored:
            return from_arrays(name, dataset, dict(stored), seed)
    evaluation = evaluate_ensemble(
        dataset, task.n_members, task.sizes, ("auto", *task.rules), task.n_select, task.n_episodes, 1,
        learner_distribution=task.learner_distribution, seed=seed, name=task.dataset,
        deterministic=None if task.both else not task.sampled,
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {f"selection {kind}": returns for kind, returns in evaluation.selection.items()}
    arrays |= {f"best {kind}": returns for kind, returns in evaluation.best.items()}
    arrays |= {f"ensemble {contest}": returns for contest, returns in evaluation.ensembles.items()}
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    return evaluation


def from_arrays(
    name: str, dataset: SyntheticDataset, arrays: dict[str, npt.NDArray[np.float64]], seed: int
) -> EnsembleEvaluation:
    parts: dict[str, dict[str, npt.NDArray[np.float64]]] = {"selection": {}, "best": {}, "ensemble": {}}
    for key, returns in arrays.items():
        part, _, rest = key.partition(" ")
        parts[part][rest] = returns
    ensembles = {}
    for text, returns in parts["ensemble"].items():
        kind, choice, rule, size = text.split()
        ensembles[Contest(kind, choice, rule, int(size))] = returns
    return EnsembleEvaluation(ALL[name].dataset, dataset.info.inner_loop, parts["selection"], parts["best"], ensembles, seed)


def run(name: str, dataset: SyntheticDataset, n_draws: int, first: int, key: str) -> None:
    """Play draws, and write the figures after each."""
    done: list[EnsembleEvaluation] = []
    for seed in range(first, first + n_draws):
        done.append(piece(name, dataset, seed))
        joined = EnsembleEvaluation.joined(done)
        print(f"{name}, draw {len(done)}: {line_of(name, joined)}", flush=True)
        results = read(FILE)
        results.setdefault(key, {})[name] = joined.summary()
        write(FILE, results)


def counted(task: Task, evaluation: EnsembleEvaluation) -> list[Contest]:
    """The ensemble of all members, and the elite, under "auto"."""
    auto = next(iter(evaluation.ensembles)).rule
    return [Contest(task.kind, "arbitrary", auto, task.n_members), Contest(task.kind, "elite", auto, ELITE)]


def line_of(name: str, evaluation: EnsembleEvaluation) -> str:
    task = ALL[name]
    best = in_words(evaluation.best_member(task.kind))
    parts = [f"member {evaluation.members(task.kind).value:.1f}, best {best}"]
    for contest in counted(task, evaluation) if name != MEMBERS else list(evaluation.ensembles):
        figures = {kind: in_words(evaluation.gain(contest, kind)) for kind in evaluation.kinds}
        parts.append(f"{contest}: {in_words(evaluation.mean(contest))}, gain {figures}")
    return "; ".join(parts)


def show(key: str) -> None:
    """Print the table of the ten tasks, and what counts."""
    results = read(FILE).get(key, {})
    print("| task | actions | a member | best member | 25 members: gain | elite of 5: gain |\n|---|---|---|---|---|---|")
    gained: dict[bool, list[str]] = {False: [], True: []}
    below = []
    for name, task in TASKS.items():
        entry = results.get(name)
        if entry is None:
            continue
        kinds = [kind for kind in ("greedy", "sampled") if kind in entry]
        better = max(kinds, key=lambda kind: entry[kind]["best_member"]["value"])
        for kind in dict.fromkeys((task.kind, better)):
            rows = _counted_rows(entry, task, kind)
            for strict, counts in ((False, task.kind), (True, better)):
                if entry["n_draws"] >= FEWEST and kind == counts and any(row["gain"]["low"] > 0 for row in rows):
                    gained[strict].append(name)
            if entry["n_draws"] >= FEWEST and rows[0]["gain"]["high"] < 0 and kind == task.kind:
                below.append(name)
            mark = "" if kind == task.kind else " (the better kind)"
            member = f"{entry[kind]['members']['value']:.1f} ± {entry[kind]['members']['std']:.1f}"
            figures = [_in_words(entry[kind]["best_member"])]
            figures += [f"{row['mean']['value']:.1f}: {_in_words(row['gain'], '+')}" for row in rows]
            print(f"| {name} | {kind}{mark} | {member} | {' | '.join(figures)} |")
    print(f"gained: {len(gained[False])} {gained[False]}; strictly: {len(gained[True])} {gained[True]}; below: {below}")


def _counted_rows(entry: Json, task: Task, kind: str) -> list[Json]:
    auto = entry["ensembles"][0]["rule"]
    wanted = [(kind, "arbitrary", auto, task.n_members), (kind, "elite", auto, ELITE)]
    found = {(row["kind"], row["choice"], row["rule"], row["size"]): row for row in entry["ensembles"]}
    return [found[key] for key in wanted]


def _in_words(figure: Json, sign: str = "") -> str:
    return f"{figure['value']:{sign}.1f} [{figure['low']:.1f}, {figure['high']:.1f}]"


def picture(n_draws: int) -> None:
    """Draw the members that fail alone, from the pieces in runs/."""
    if not all(path_of(MEMBERS, seed).exists() for seed in range(n_draws)):
        print("no picture: the pieces are not there")
        return
    dataset = SyntheticDataset.load(ALL[MEMBERS].dataset)
    joined = EnsembleEvaluation.joined([piece(MEMBERS, dataset, seed) for seed in range(n_draws)])
    shown = {contest: returns for contest, returns in joined.ensembles.items() if contest.rule in PICTURED}
    return_against_size(replace(joined, ensembles=shown), "sampled", PICTURES / "ensembles.png")


def speed() -> Json:
    """Time of ``predict`` for one observation, 100 members against one policy, in turns: medians in microseconds."""
    name = "NDCartPole2D-v0"
    ensemble = DistilledEnsemble.from_dataset(name, 100, device="cpu")
    policy = DistilledPolicy.from_dataset(name, seed=0, device="cpu")
    observation = make_vec_env(name, 1, seed=0).reset()[0]
    figures: Json = {}
    for rule, deterministic in itertools.product(OF_CHOICES, (True, False)):
        ensemble.combine = rule
        times = np.array(
            [[_microseconds(one, observation, deterministic) for one in (ensemble, policy)] for _ in range(TURNS)]
        )
        both = np.median(times, axis=0)
        figures[f"{rule} {'greedy' if deterministic else 'sampled'}"] = {
            "ensemble": round(both[0]), "policy": round(both[1]), "ratio": round(both[0] / both[1], 2)
        }  # fmt: skip
        print(rule, deterministic, both.round(), flush=True)
    return figures


def _microseconds(policy: BasePolicy, observation: npt.NDArray[np.float32], deterministic: bool) -> float:
    start = time.perf_counter()
    for _ in range(CALLS):
        policy.predict(observation, deterministic=deterministic)
    return (time.perf_counter() - start) / CALLS * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", default=list(ALL), choices=list(ALL))
    parser.add_argument("--reference", type=Path, help="folder of the authors' sets")
    parser.add_argument("--draws", type=int, default=N_DRAWS)
    parser.add_argument("--confirm", action="store_true", help="other draws")
    parser.add_argument("--show", action="store_true", help="only show the table")
    parser.add_argument("--speed", action="store_true", help="measure only the time of predict")
    options = parser.parse_args()
    one_thread()
    gym.logger.min_level = gym.logger.ERROR  # v4 is out of date on purpose
    if options.speed:
        write(FILE, {**read(FILE), "predict_microseconds": speed()})
        return
    first, key = (CONFIRMING, "confirmed") if options.confirm else (0, "tasks")
    for name in [] if options.show else options.tasks:
        dataset = dataset_of(ALL[name], options.reference)
        if dataset is not None:
            run(name, dataset, options.draws, first, key)
    show(key)
    picture(N_DRAWS)


if __name__ == "__main__":
    main()
