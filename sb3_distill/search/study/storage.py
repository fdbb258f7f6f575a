"""Where studies lie: a journal file, a database, or memory; and what a study is of."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias

from sb3_distill.errors import ArgumentError, MissingExtraError
from sb3_distill.search.study.journal_lock import journal_lock
from sb3_distill.typing import Json

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage, RDBStorage

Place: TypeAlias = "str | os.PathLike[str] | None"
"""Path of a journal, the URL of a database, or ``None`` for memory."""
DESCRIPTION = "description"
"""Attribute of a study: what it is of."""
BEGINNING = b'{"op_code"'
"""First bytes of a journal."""
N_ATTEMPTS = 5
"""A database is opened so often: two workers that make its tables at once disturb each other."""


def import_optuna() -> ModuleType:
    """
    :return: Optuna
    :raises ImportError: if it is not installed
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError(f"a search needs Optuna: pip install 'sb3-distill[search]' ({error})") from error
    return optuna


@contextmanager
def open_storage(place: Place) -> Iterator["BaseStorage"]:
    """
    Open a storage. Meanwhile Optuna prints no messages of studies that were made, nor of values that it draws by chance.

    :param place: a path, a URL or ``None``
    :return: the storage
    :raises ImportError: if Optuna is not installed
    :raises ValueError: for a file that is no journal, or a database that cannot be opened
    :raises OSError: if the file cannot be written
    """
    optuna = import_optuna()
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        if place is None:
            yield optuna.storages.InMemoryStorage()
        elif "://" in str(place):
            storage = _database(str(place))
            try:
                yield storage
            finally:
                storage.remove_session()
                storage.engine.dispose()
        else:
            yield _journal(Path(place))
    finally:
        optuna.logging.set_verbosity(verbosity)


def open_study(storage: "BaseStorage", way: str, description: Mapping[str, object]) -> "Study":
    """
    Make a study, or open the one that is there.

    :param storage: where the study lies
    :param way: name of the evaluator, which is the name of the study
    :param description: what the study is of, in parts
    :return: the study
    :raises ValueError: if the study that is there is of something else, with the parts that differ
    """
    import optuna

    study = optuna.create_study(storage=storage, study_name=way, direction="maximize", load_if_exists=True)
    description = json.loads(json.dumps(description))
    if DESCRIPTION not in study.user_attrs:  # new, or its maker was killed at once
        study.set_user_attr(DESCRIPTION, description)
    stored: Json = study.user_attrs[DESCRIPTION]
    parts = [part for part in description if stored.get(part) != description[part]]
    if parts:
        differences = "; ".join(text for part in parts for text in _differences(part, stored.get(part), description[part]))
        raise ArgumentError(
            f"the storage has a study {way!r} of another {' and another '.join(parts)}: {differences}. Give another storage, "
            "or what that study was begun with"
        )
    return study


def _differences(name: str, there: object, here: object) -> list[str]:
    """One text for each field that differs."""
    if isinstance(there, dict) and isinstance(here, dict):
        fields = [field for field in {**there, **here} if there.get(field) != here.get(field)]
        return [text for field in fields for text in _differences(f"{name}.{field}", there.get(field), here.get(field))]
    return [f"{name} {_short(there)} there, {_short(here)} here"]


def _journal(path: Path) -> "BaseStorage":
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    if path.is_dir():
        raise ArgumentError(f"the storage must be a file or the URL of a database, got the folder {path}")
    if path.is_file():
        with path.open("rb") as file:
            beginning = file.read(len(BEGINNING))
        if beginning != BEGINNING[: len(beginning)]:
            raise ArgumentError(f"{path} is no journal of Optuna; give another file, or the URL of a database (sqlite:///..)")
    lock = journal_lock(path)
    try:
        return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    except (ValueError, KeyError, AssertionError) as error:
        raise ArgumentError(f"the journal {path} is damaged ({error}); give another file") from error


def _database(url: str) -> "RDBStorage":
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import DBAPIError

    arguments = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    for attempt in range(N_ATTEMPTS):
        try:
            return RDBStorage(url, engine_kwargs=arguments)
        except Exception as error:  # of the driver, of SQLAlchemy or of Optuna: there is no common class
            if not isinstance(error, DBAPIError) or attempt == N_ATTEMPTS - 1:
                raise ArgumentError(f"the database {url} cannot be opened: {error}") from error
            time.sleep(0.2 * (attempt + 1))
    raise AssertionError


def _short(value: object) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 120 else f"{text[:117]}..."
