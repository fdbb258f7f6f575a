"""The statistics that lie with an agent, as rl-zoo, callbacks of SB3, the Hugging Face hub and this package leave them."""

import re
from collections.abc import Iterable
from pathlib import Path

from sb3_distill.errors import ArgumentError

NAMES = ("vecnormalize.pkl", "vec_normalize.pkl")
"""Names of statistics: those of rl-zoo, and of its agents on the Hugging Face hub."""
RECORDS = ("config.yml", "args.yml")
"""Files in which rl-zoo says how an agent was trained."""
NORMALIZE = re.compile(r"(?:^|[\s{,])['\"]?normalize['\"]?\s*(?::|\n\s*-)[ \t]*([^\n]*(?:\n(?!\s*-)(?!\S)[^\n]*)*)")
"""The entry ``normalize`` of such a file. It is not parsed: the YAML of rl-zoo names Python objects."""


def statistics_beside(agent: Path, env_id: str | None = None) -> Path | None:
    """
    Where to look is what the zip says: its name, the folder of its stem, the folder of the environment in any version, and
    for a zip that bears no such name (``best_model.zip``) the only folder with statistics.

    :param agent: a zip
    :param env_id: of its environment, with or without a version; ``None`` if it is not known
    :return: the statistics that lie with it; ``None`` if none do
    :raises ValueError: if ``config.yml`` or ``args.yml`` with it says that its observations were normalised, and there are no
        statistics, or if several folders have some
    """
    folders = _folders(agent, env_id)
    candidates = [agent.parent / name for name in _names_of_checkpoints(agent)]
    candidates += [folder / name for folder in (*folders, agent.parent) for name in NAMES]
    if (found := next((path for path in candidates if path.is_file()), None)) is not None:
        return found
    below = [path for path in _sorted_folders(agent.parent) if _statistics_in(path) is not None]
    below = [path for path in below if not _belongs_to_another(path, agent, env_id)]
    if len(below) > 1:
        names = ", ".join(path.name for path in below)
        raise ArgumentError(
            f"several folders beside {agent} have statistics ({names}): say which belong to it, with "
            f"`normalization` or --vecnormalize {_statistics_in(below[0])}"
        )
    if below:
        return _statistics_in(below[0])
    runs = [path for path in _sorted_folders(agent.parent) if re.search(r"-v\d+$", path.name)]
    for folder in (*folders, agent.parent, *runs):
        if _belongs_to_another(folder, agent, env_id):
            continue
        for record in (folder / name for name in RECORDS):
            if (normalized := _says_normalized(record)) is True:
                raise ArgumentError(
                    f"{record} says that the agent was trained on normalised observations, and there is no {NAMES[0]} with "
                    f"{agent}: fetch it, or say where it is with `normalization` or --vecnormalize FILE (none, if its "
                    "observations are as they are)"
                )
            if normalized is False:
                return None
    return None


def _folders(agent: Path, env_id: str | None) -> list[Path]:
    """Folders of the agent itself, those of its stem first."""
    names = [agent.stem] if env_id is None else [agent.stem, env_id.partition(":")[2] or env_id]
    return [agent.parent / name for one in names for name in dict.fromkeys((one, one.replace("/", "-")))]


def _names_of_checkpoints(agent: Path) -> list[str]:
    """What SB3's ``CheckpointCallback`` calls the statistics of ``rl_model_1000_steps.zip``."""
    match = re.fullmatch(r"(.+)_(\d+_steps)", agent.stem)
    return [f"{match[1]}_vecnormalize_{match[2]}.pkl"] if match else []


def _sorted_folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _statistics_in(folder: Path) -> Path | None:
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def _belongs_to_another(folder: Path, agent: Path, env_id: str | None) -> bool:
    """Whether a folder beside an agent is that of another one, by the names of their environments without versions."""
    if folder == agent.parent:
        return False
    task = _task(folder.name)
    if env_id is not None and task == _task((env_id.partition(":")[2] or env_id).replace("/", "-")):
        return False
    if task == _task(agent.stem) or _task(agent.stem).endswith(f"-{task}"):  # as in ppo-Pendulum-v1.zip
        return False
    bears_a_task = re.search(r"-v\d+$", agent.stem) is not None
    return bears_a_task or ((folder.parent / f"{folder.name}.zip").is_file() and _is_crowded(folder.parent))


def _is_crowded(folder: Path) -> bool:
    """Whether agents of several environments lie there, so that a zip without such a name may be anybody's."""
    return sum(re.search(r"-v\d+$", path.stem) is not None for path in folder.glob("*.zip")) > 1


def _task(name: str) -> str:
    return re.sub(r"-v\d+$", "", name)


def _says_normalized(record: Path) -> bool | None:
    """Whether a file says that observations were normalised; ``None`` if it does not say."""
    if not record.is_file():
        return None
    text = re.sub(r"(?m)^\s*#.*$", "", record.read_text(errors="replace"))
    entries: Iterable[str] = NORMALIZE.findall(text)
    values = [value.strip().strip("'\"").lower() for value in entries]
    if not values:
        return None
    value = values[-1]
    if value.partition("\n")[0].strip() in ("", "false", "no", "off", "null", "none", "~") and "norm_obs" not in value:
        return False
    return re.search(r"norm_obs['\"]*\s*[:=]\s*false", value) is None
