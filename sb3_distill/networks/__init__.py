"""What an SB3 policy is made of, and many networks of one shape at once."""

from sb3_distill.networks.anatomy import (
    Network,
    actor_of,
    critic_of,
    parameters_in_use,
    parts_of,
    share_statistics,
    squashes,
    statistics_of,
)

__all__ = [
    "Network",
    "actor_of",
    "critic_of",
    "parameters_in_use",
    "parts_of",
    "share_statistics",
    "squashes",
    "statistics_of",
]
