"""Learner distributions by name."""

from sb3_distill.learners.architecture import ACTIVATIONS
from sb3_distill.typing import Json

TABLE_1: dict[str, Json] = {
    "lambda": {"init": "orthogonal"},
    "ortho-1": {"init": "orthogonal", "hidden_gain": 1.0, "last_gain": 1.0},
    "xe": {"init": "xavier_normal"},
    "xe-1": {"init": "xavier_normal", "hidden_gain": 1.0, "last_gain": 1.0},
    "random-h": {"init": "orthogonal", "width": [32, 255]},
    "random-l": {"init": "orthogonal", "depth": [1, 6], "activation": "identity"},
    "random-l-tanh": {"init": "orthogonal", "depth": [1, 6], "activation": "tanh"},
}
"""The columns of Table 1, as the authors' code has them: Xavier normal, and random depth without activations. The last is a
variant with activations."""
WIDE: list[Json] = [
    *TABLE_1.values(),
    *(
        {
            "init": ["orthogonal", "xavier_normal", "xavier_uniform", "kaiming_uniform", "pytorch"],
            "last_gain": 1.0,
            "width": width,
            "depth": [1, 6],
            "activation": list(ACTIVATIONS),
            "layer_norm": 0.3,
            "weight": weight,
        }
        for width, weight in (([16, 64], 4.0), ([64, 256], 1.0))  # wide learners cost most and differ least
    ),
]
"""All columns of Table 1, and networks of any usual kind."""
ANY_INIT = ["orthogonal", "xavier_normal", "xavier_uniform", "kaiming_normal", "pytorch"]
WIDER: list[Json] = [
    TABLE_1["lambda"],
    *({**TABLE_1[name], "weight": 0.5} for name in ("xe", "xe-1", "random-l-tanh")),
    *(
        {
            "init": ANY_INIT,
            "last_gain": last_gain,
            "width": width,
            "depth": [1, 8],
            "activation": list(ACTIVATIONS),
            "layer_norm": 0.25,
            "weight": weight,
        }
        for width, last_gain, weight in (([16, 64], 0.01, 4.0), ([64, 256], 1.0, 3.0))
    ),
]
"""Mostly small and deep networks, which are the hardest to teach."""
NAMED: dict[str, Json | list[Json]] = {**TABLE_1, "table1": list(TABLE_1.values()), "wide": WIDE, "wider": WIDER}
"""Distributions by name."""
