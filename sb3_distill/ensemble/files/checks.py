"""What the metadata of an ensemble's file must look like, checked before anything is drawn."""

from collections.abc import Sequence

from sb3_distill.dataset.file_checks import MAX_WEIGHTS, MAX_WIDTH, check_network, check_plain, shortened
from sb3_distill.errors import DatasetError
from sb3_distill.learners.distribution import LearnerDistribution
from sb3_distill.networks.policy_kwargs import policy_kwargs_from_json
from sb3_distill.typing import Json

KINDS: dict[str, tuple[type, ...]] = {
    "dataset": (dict,),
    "seed": (int,),
    "n_drawn": (int,),
    "members": (list,),
    "combine": (str,),
    "policy": (str, type(None)),
    "policy_kwargs": (dict, type(None)),
    "learner_distribution": (list, type(None)),
    "inner_loop": (dict, type(None)),
    "digests": (list,),
    "weights": (bool,),
    "versions": (dict,),
}
"""Kinds of JSON values by field; all are needed."""
MAX_DRAWN = 10_000
"""Largest number of learners of a draw."""
MAX_DRAWN_WEIGHTS = 2**31
"""Bound of the weights of all learners of a draw (8 GiB)."""


def check_info(info: Json) -> None:
    """
    :param info: metadata of a file
    :raises DatasetError: if a field is missing or malformed, or asks for more than is drawn from a file
    """
    for name, kinds in KINDS.items():
        if name not in info:
            raise DatasetError(f"malformed metadata: `{name}` is missing")
        value = info[name]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise DatasetError(f"malformed metadata: `{name}` is {shortened(value)}")
        check_plain(name, value)
    name, sha256 = info["dataset"].get("name", 0), info["dataset"].get("sha256")
    is_plain_name = name is None or (isinstance(name, str) and not {"\\", ":", "\0"} & set(name) and ".." not in name)
    if not is_plain_name or not isinstance(sha256, str) or str(name).startswith("/"):
        raise DatasetError(f"malformed metadata: `dataset` is {shortened(info['dataset'])}")
    if not 1 <= info["n_drawn"] <= MAX_DRAWN:
        raise DatasetError(f"malformed metadata: `n_drawn` is {info['n_drawn']}, and at most {MAX_DRAWN:,} are drawn")
    _check_members(info["members"], info["n_drawn"])
    if len(info["digests"]) != len(info["members"]) or not all(isinstance(one, str) for one in info["digests"]):
        raise DatasetError(f"malformed metadata: there are {len(info['members'])} members and {len(info['digests'])} digests")
    if info["policy_kwargs"] is not None:
        check_network(info["policy_kwargs"])
    for component in info["learner_distribution"] or []:
        if not isinstance(component, dict) or "policy" in component:
            raise DatasetError(f"malformed metadata: `learner_distribution` has {shortened(component)}")
        if "policy_kwargs" in component:
            if not isinstance(component["policy_kwargs"], dict):
                raise DatasetError(f"malformed metadata: `learner_distribution` has {shortened(component)}")
            check_network(component["policy_kwargs"])
        _check_size(component, info["n_drawn"])


def check_drawn_size(n_weights: int, n_drawn: int) -> None:
    """
    :param n_weights: number of weights of one learner
    :param n_drawn: number of learners of a draw
    :raises DatasetError: if these are more than are drawn from a file
    """
    if n_weights * n_drawn > MAX_DRAWN_WEIGHTS:
        raise DatasetError(f"{n_drawn:,} learners of {n_weights:,} weights are more than are drawn from a file")


def distribution_from_json(components: Sequence[Json] | None) -> LearnerDistribution | None:
    """
    :param components: components as a file has them
    :return: the distribution; ``None`` for the policy as it initialises itself
    :raises ValueError: for components that there are not
    """
    if components is None:
        return None
    parts = [dict(component) for component in components]
    for part in parts:
        if "policy_kwargs" in part:
            part["policy_kwargs"] = policy_kwargs_from_json(part["policy_kwargs"])
    return LearnerDistribution.parse(parts)


def _check_members(members: Sequence[object], n_drawn: int) -> None:
    whole = all(isinstance(index, int) and not isinstance(index, bool) and 0 <= index < n_drawn for index in members)
    if not members or not whole or list(members) != sorted(set(members)):  # type: ignore[type-var]
        raise DatasetError(f"malformed metadata: `members` is {shortened(members)}, of {n_drawn} that are drawn")


def _check_size(component: Json, n_drawn: int) -> None:
    """Layers that are drawn are not part of the file, so that their size is bounded as such."""
    sizes = [_largest(component.get(name, usual)) for name, usual in (("width", 64), ("depth", 2))]
    n_weights = sizes[0] ** 2 * sizes[1]
    if sizes[0] > MAX_WIDTH or n_weights > MAX_WEIGHTS:
        raise DatasetError(f"`learner_distribution` asks for too large networks: {shortened(component)}")
    check_drawn_size(n_weights, n_drawn)


def _largest(value: object) -> int:
    numbers = value if isinstance(value, list) else [value]
    if not numbers or not all(isinstance(number, int) and number > 0 for number in numbers):
        raise DatasetError(f"malformed metadata: `learner_distribution` has a size {shortened(value)}")
    return max(number for number in numbers if isinstance(number, int))
