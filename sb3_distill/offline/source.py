"""Who has played a recorded episode."""

from dataclasses import asdict, dataclass

from sb3_distill.errors import RecordingError
from sb3_distill.typing import Json


@dataclass(frozen=True)
class Source:
    """
    Who has played, and how.

    :param name: ``"random"``, or the name of an agent or a dataset
    :param seed: seed of environments and actions; ``None`` if unknown
    :param deterministic: whether actions were the most likely ones; ``None`` if unknown
    :param noise: size of what was added to the actions, see ``record``
    """

    name: str
    seed: int | None = None
    deterministic: bool | None = None
    noise: float = 0.0

    def to_json(self) -> Json:
        """A JSON object that ``from_json`` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: object) -> "Source":
        """
        :param data: what ``to_json`` returned
        :raises RecordingError: for anything else
        """
        if isinstance(data, dict) and set(data) == set(cls.__dataclass_fields__) and isinstance(data["name"], str):
            seed, deterministic, noise = data["seed"], data["deterministic"], data["noise"]
            is_seed = seed is None or (isinstance(seed, int) and not isinstance(seed, bool))
            is_number = isinstance(noise, (int, float)) and not isinstance(noise, bool) and 0 <= noise < float("inf")
            if is_seed and is_number and isinstance(deterministic, (bool, type(None))):
                return cls(data["name"], seed, deterministic, float(noise))
        raise RecordingError(f"malformed metadata: {repr(data)[:100]} is no source of play")
