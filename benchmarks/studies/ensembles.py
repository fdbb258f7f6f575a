"""
Ensembles of taught learners against the best member, which is chosen on other episodes.

Fixed before anything was scored: the tasks below, the rule of "auto" (sb3_distill/ensemble/rules.py), the sizes, and what
counts. A task is scored with sampled or greedy actions, whichever has the higher mean in the file of its set; the authors'
sets with sampled ones, as in the paper. Two ensembles are scored under "auto": all 25 members, and the elite, the 5 members
that are best on the selection episodes. A task counts as gained if one of the two beats the best member with a 95 % interval
above 0 (hierarchical bootstrap: draws of members, then episodes), both with the same kind of actions. It counts as gained in
the strict sense if the best member of the better kind of actions is beaten so. The goal is 6 of 10, and no task where the
ensemble of all members is below with an interval below 0.

    python benchmarks/studies/ensembles.py [--tasks NAME ...] [--reference FOLDER] [--show]
"""

from dataclasses import dataclass, field

from sb3_distill.typing import Json

XAVIER: Json = {"init": "xavier_normal"}
"""The Xavier column of Table 1."""
N_MEMBERS, ELITE, N_DRAWS = 25, 5, 10


@dataclass(frozen=True)
class Task:
    """
    :param dataset: name of a shipped set, or of a file of the authors
    :param sampled: whether sampled actions are scored, or greedy ones
    :param both: whether the other kind of actions is measured too
    :param learner_distribution: which members; ``None`` for the policy as it initialises itself
    :param n_select: selection episodes of each member
    :param n_episodes: episodes of each ensemble, and of the best member
    """

    dataset: str
    sampled: bool
    both: bool = True
    learner_distribution: Json | None = None
    n_select: int = 8
    n_episodes: int = 20


CHEAP: Json = dict(n_select=20, n_episodes=100)
TASKS = {
    "4-D k5 (authors)": Task("ndcartpole-4d-k5", True, **CHEAP),
    "2-D k3 (authors)": Task("ndcartpole-2d-k3", True, **CHEAP),
    "3-D Xavier": Task("NDCartPole3D-v0/wide-sgd-raw", True, learner_distribution=XAVIER, **CHEAP),
    "Pendulum": Task("Pendulum-v1", True, **CHEAP),
    "HalfCheetah": Task("HalfCheetah-v4/sgd", False, both=False),
    "Hopper": Task("Hopper-v4/sgd", False, both=False),
    "Walker2d": Task("Walker2d-v4/sgd", False, both=False),
    "Ant": Task("Ant-v4/sgd", False, both=False),
    "Humanoid": Task("Humanoid-v4/sgd", True),
    "MsPacman": Task("MsPacmanRAM-v0/sgd", True),
}
"""Tasks on which the best member is expected below 98 % of the most there is."""
