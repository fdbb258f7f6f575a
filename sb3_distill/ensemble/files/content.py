"""
The file of an ensemble: which set, seed, members and rule, without weights unless they are wished for.

Members are drawn and taught again when a file is loaded. The file has a digest of each member's initial parameters, and its
outputs for a few probes, so that a machine or a version that draws other numbers is noticed. Probes are no instances of the
set, on which all members that were taught well agree. Nothing of a file is trusted, see ``dataset.file_checks``.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch as th
from stable_baselines3.common.policies import BasePolicy

from sb3_distill.dataset.file import (
    DATASET,
    PROJECT,
    check_name,
    checked_tensor,
    digest_of,
    flatten,
    read,
    shipped_sets,
    write,
)
from sb3_distill.dataset.file_checks import shortened
from sb3_distill.dataset.info import library_versions
from sb3_distill.dataset.synthetic_dataset import DatasetLike, SyntheticDataset
from sb3_distill.ensemble.acting import MemberStack
from sb3_distill.ensemble.drawing import Drawing, digests_of
from sb3_distill.ensemble.files.checks import check_drawn_size, check_info, distribution_from_json
from sb3_distill.ensemble.rules import checked_rule
from sb3_distill.errors import ArgumentError, DatasetError, SB3DistillError
from sb3_distill.inner_loop.loop import make_inner_loop
from sb3_distill.learners.distribution import LearnerDistribution
from sb3_distill.learners.population import Group, Learners
from sb3_distill.networks.policy_aliases import POLICIES
from sb3_distill.networks.policy_kwargs import policy_kwargs_from_json, policy_kwargs_to_json
from sb3_distill.spaces.serialization import space_to_json
from sb3_distill.spaces.sizes import preprocessed_shape
from sb3_distill.trees import map_leaves, named_leaves
from sb3_distill.typing import Json, Observations

ENSEMBLE = DATASET._replace(word="ensemble", format=f"{PROJECT}/ensemble")
"""Kind of the file."""
N_PROBES = 4
"""Number of observations at which members are compared."""
TOLERANCE = 0.01
"""Largest difference of outputs, relative to the largest output, of members that count as the same: other machines round
otherwise."""


class Content(NamedTuple):
    """
    What a file says.

    :param drawing: the draw that the members are of
    :param indices: which of its learners are members, in ascending order
    :param taught: the members, taught
    :param combine: rule of combination
    """

    drawing: Drawing
    indices: Sequence[int]
    taught: Learners
    combine: str


def hash_of(dataset: SyntheticDataset) -> str:
    """
    :param dataset: a dataset
    :return: SHA-256 of all numbers that teach, of its spaces and of the name of its inner loop. Scores and versions, which a
        file of a set has too, do not count
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in dataset.state_dict().items()}
    tensors |= {f"statistics.{name}": value.detach().cpu().contiguous() for name, value in dataset.statistics.items()}
    if (normalization := dataset.info.normalization) is not None:
        tensors |= flatten("obs_mean", normalization.mean) | flatten("obs_var", normalization.var)
    spaces = [space_to_json(dataset.info.observation_space), space_to_json(dataset.info.action_space)]
    return digest_of(tensors, f"{spaces} {dataset.inner_loop.name}")


def write_ensemble(path: Path, content: Content, weights: bool) -> None:
    """
    :param path: path of the file
    :param content: the ensemble
    :param weights: whether parameters are written too
    :raises ValueError: for another ending than ``.safetensors``, or members of classes that a file cannot name
    :raises OSError: if the file cannot be written
    """
    path = check_name(path, ENSEMBLE)
    drawing, members = content.drawing, content.taught
    probes = _probes(drawing.dataset)
    tensors = {_named("probes", key): value.contiguous() for key, value in named_leaves(probes)}
    tensors["probe_outputs"] = _outputs(members, probes)
    if weights:
        tensors |= {
            f"weights.{index}.{name}": value.detach().cpu().contiguous()
            for index, group in enumerate(members.groups)
            for name, value in group.params.items()
        }
    info: Json = {
        "dataset": {"name": _name_of(drawing.source), "sha256": hash_of(drawing.whole)},
        "seed": drawing.seed,
        "n_drawn": drawing.n_drawn,
        "members": list(content.indices),
        "combine": content.combine,
        "policy": _alias_of(drawing.policy),
        "policy_kwargs": _json_of(drawing.policy_kwargs),
        "learner_distribution": _distribution_to_json(drawing),
        "inner_loop": None if drawing.inner_loop is None else drawing.dataset.info.inner_loop,
        "digests": digests_of(drawing.initial().take(content.indices)),
        "weights": weights,
        "versions": library_versions(),
    }
    write(path, tensors, info, ENSEMBLE)


def read_checked(path: Path) -> tuple[Json, dict[str, th.Tensor]]:
    """
    :param path: path of a file of an ensemble
    :return: what it says, without looking for the set or drawing members; and its tensors
    :raises FileNotFoundError: if there is no such file
    :raises DatasetError: if it is damaged
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no ensemble file {path}")
    try:
        info, tensors = read(path, ENSEMBLE)
        check_info(info)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error.__cause__
    return info, tensors


def read_ensemble(path: Path, dataset: DatasetLike | None, device: th.device) -> Content:
    """
    :param path: path of the file
    :param dataset: the set; ``None`` for the one that the file names
    :param device: device of the members
    :return: the ensemble
    :raises FileNotFoundError: if there is no such file
    :raises DatasetError: if it is damaged, the set has another hash, or a member is another one here
    :raises ValueError: if it names no set that is found, and ``dataset`` is ``None``
    """
    info, tensors = read_checked(path)
    source = info["dataset"]["name"] if dataset is None or isinstance(dataset, SyntheticDataset) else str(dataset)
    whole = SyntheticDataset.of(_found(path, source) if dataset is None else dataset).to(device)
    if (found := hash_of(whole)) != info["dataset"]["sha256"]:
        raise DatasetError(
            f"{path}: its members were taught another set: its hash is {info['dataset']['sha256'][:12]}..., that of this one "
            f"{found[:12]}...: pass the set that it was made with as `dataset`"
        )
    try:
        content = _drawn(info, tensors, whole, source)
        _check_members(content, info, tensors)
    except SB3DistillError as error:
        raise DatasetError(f"{path}: {error}") from error
    except Exception as error:  # nothing of a file is trusted: what goes wrong with it is the file's fault
        raise DatasetError(f"{path} has malformed metadata: {shortened(error)}") from error
    return content


def _drawn(info: Json, tensors: Mapping[str, th.Tensor], whole: SyntheticDataset, source: str | None) -> Content:
    """The members, drawn and taught again, or with the weights of the file."""
    loop = None if info["inner_loop"] is None else make_inner_loop(**info["inner_loop"])
    kwargs = None if info["policy_kwargs"] is None else policy_kwargs_from_json(info["policy_kwargs"])
    distribution = distribution_from_json(info["learner_distribution"])
    drawing = Drawing(whole, info["n_drawn"], info["seed"], info["policy"], kwargs, distribution, loop, source)
    combine = checked_rule(info["combine"], whole.info.action_space)
    for network in drawing.sampler.fixed_networks:
        check_drawn_size(sum(value.numel() for value in network.template.parameters()), drawing.n_drawn)
    taught = drawing.taught(info["members"])
    return Content(drawing, info["members"], _with_weights(taught, tensors) if info["weights"] else taught, combine)


def _with_weights(taught: Learners, tensors: Mapping[str, th.Tensor]) -> Learners:
    groups = []
    for index, group in enumerate(taught.groups):
        params = {}
        for name, value in group.params.items():
            stored = tensors.get(f"weights.{index}.{name}")
            if stored is None or stored.shape != value.shape:
                raise DatasetError(
                    f"`weights.{index}.{name}` has shape {None if stored is None else tuple(stored.shape)}, the members drawn "
                    f"here have {tuple(value.shape)}"
                )
            params[name] = stored.to(value.device)
        groups.append(Group(group.network, params))
    return Learners(groups, taught.encode, taught.n_learners)


def _check_members(content: Content, info: Json, tensors: Mapping[str, th.Tensor]) -> None:
    """Whether every member is what it was where the file was written; the first one that is not is named."""
    shape = preprocessed_shape(content.drawing.dataset.info.observation_space)
    probes: Observations
    if isinstance(shape, dict):
        probes = {key: checked_tensor(tensors, _named("probes", key), (N_PROBES, *shape[key])) for key in shape}
    else:
        probes = checked_tensor(tensors, "probes", (N_PROBES, *shape))
    outputs = _outputs(content.taught, probes)
    stored = checked_tensor(tensors, "probe_outputs", tuple(outputs.shape))
    digests = digests_of(content.drawing.initial().take(content.indices))
    versions = info["versions"]
    for member, (here, there) in enumerate(zip(outputs, stored, strict=True)):
        difference = float((here - there).abs().max() / there.abs().max().clamp_min(1e-6))
        if difference <= TOLERANCE:
            continue
        drawn = "drawn with other numbers" if digests[member] != info["digests"][member] else "taught to other outputs"
        raise DatasetError(
            f"member {member} is {drawn} here than where the file was written: its outputs differ by {difference:.1%} of the "
            f"largest one (PyTorch {versions.get('torch', 'unknown')} there, {library_versions()['torch']} here); a file of "
            "save(weights=True) keeps the parameters"
        )


def _probes(dataset: SyntheticDataset) -> Observations:
    """Observations as members see them, of the set's mean and spread ``(N_PROBES, *preprocessed shape)``."""
    generator = th.Generator()
    generator.manual_seed(0)

    def around(value: th.Tensor) -> th.Tensor:
        value = value.detach().float().cpu()
        noise = th.randn((N_PROBES, *value.shape[1:]), generator=generator)
        return value.mean(dim=0) + noise * value.std(dim=0, correction=0)

    return map_leaves(around, dataset.encode())


def _outputs(members: Learners, probes: Observations) -> th.Tensor:
    """Outputs of all members ``(M, N_PROBES, n_outputs)``, on the CPU."""
    device = next((value.device for group in members.groups for value in group.params.values()), th.device("cpu"))
    with th.no_grad():
        outputs, _ = MemberStack(members)(map_leaves(lambda value: value.to(device), probes))
    on_cpu: th.Tensor = outputs.float().cpu().contiguous()
    return on_cpu


def _named(name: str, key: str | None) -> str:
    return name if key is None else f"{name}.{key}"


def _name_of(source: str | None) -> str | None:
    """The name of a shipped set, or that of a file without its folder: a file names no other places."""
    return source if source is None or source in shipped_sets() else os.path.basename(source)


def _found(path: Path, name: str | None) -> str | Path:
    """The shipped set of that name, or the file beside that of the ensemble."""
    if name is not None and name in shipped_sets():
        return name
    beside = None if name is None else path.with_name(name)
    if beside is None or not beside.is_file():
        named = "it does not name its set" if name is None else f"its set {shortened(name)} is neither shipped nor beside it"
        raise ArgumentError(f"{path}: {named}: pass it as `dataset`")
    return beside


def _alias_of(policy: str | type[BasePolicy] | None) -> str | None:
    if policy is None or isinstance(policy, str):
        return policy
    for alias, policy_class in POLICIES.items():
        if policy_class is policy:
            return alias
    raise ArgumentError(f"a file cannot name the class {policy.__name__} of the members: only ensembles of SB3's are saved")


def _json_of(policy_kwargs: Mapping[str, object] | None) -> Json | None:
    if policy_kwargs is None:
        return None
    as_json = policy_kwargs_to_json(policy_kwargs)
    if as_json is None:
        raise ArgumentError(f"a file cannot hold `policy_kwargs` {shortened(dict(policy_kwargs))}")
    return as_json


def _distribution_to_json(drawing: Drawing) -> list[Json] | None:
    if drawing.learner_distribution is None:
        return None
    distribution = LearnerDistribution.parse(drawing.learner_distribution)
    for component in distribution.components:
        if component.policy is not None:
            _alias_of(component.policy)
            raise ArgumentError("a file cannot hold a `learner_distribution` with classes of policies: name them by `policy`")
        _json_of(component.policy_kwargs)
    return distribution.to_json()
