"""Arguments of environments that a dataset file records."""

from collections.abc import Iterator
from contextlib import contextmanager

from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.errors import MisfitError, SB3DistillError


@contextmanager
def refused_by_environment(info: DatasetInfo) -> Iterator[None]:
    """
    An environment of another version may not take the arguments that a file records.

    :param info: record of the environment that is made inside
    :raises MisfitError: if the environment refuses recorded arguments
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        if not info.env_kwargs or isinstance(error, SB3DistillError):
            raise
        raise MisfitError(f"{info.env_id} was recorded with {info.env_kwargs} and cannot be made so: {error}") from error
