"""Arguments of environments and wrappers that a dataset file records."""

from collections.abc import Iterator
from contextlib import contextmanager

from sb3_distill.dataset.file_checks import shortened
from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.errors import MisfitError, SB3DistillError


@contextmanager
def refused_by_environment(info: DatasetInfo) -> Iterator[None]:
    """
    An environment of another version, or a wrapper, may not take the arguments that a file records.

    :param info: record of the environment that is made inside
    :raises MisfitError: if the environment or a wrapper refuses recorded arguments
    """
    try:
        yield
    except (AssertionError, AttributeError, OverflowError, TypeError, ValueError) as error:
        if not (info.env_kwargs or info.wrappers) or isinstance(error, SB3DistillError):
            raise
        within = f" in {shortened([record['name'] for record in info.wrappers])}" if info.wrappers else ""
        raise MisfitError(
            f"{info.env_id} was recorded with {info.env_kwargs}{within} and cannot be made so: {error}"
        ) from error
