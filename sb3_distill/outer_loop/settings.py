"""What shapes the learners and the dataset: arguments that are fixed once a model is set up."""

import numbers
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

from sb3_distill.dataset.start import DATASET_INITS
from sb3_distill.dataset.synthetic_dataset import DatasetLike
from sb3_distill.errors import ArgumentError, warn
from sb3_distill.inner_loop.carry import default_strength
from sb3_distill.inner_loop.loop import INNER_LOOPS, InnerLoop, make_inner_loop
from sb3_distill.learners.distribution import LearnerDistributionLike
from sb3_distill.outer_loop.combination import Combine, check_combine
from sb3_distill.outer_loop.defaults import default_inner_rate, resolve_n_instances, resolve_n_learners
from sb3_distill.outer_loop.regularization import Regularizers, RegularizersLike
from sb3_distill.spaces.checks import sees_images
from sb3_distill.spaces.values import plain
from sb3_distill.typing import AutocastDtype, DatasetInit, InnerLoopName, Json, Normalize, Space

InnerRate: TypeAlias = float | Sequence[float] | Sequence[Sequence[float]]


@dataclass(frozen=True)
class Settings:
    """
    Arguments of ``PPMO`` and ``DAgger`` that shape the learners and the dataset; the metadata of each field say what it does
    and which values it takes. The same class holds them as the user gave them and, after ``resolve``, as they are used.
    """

    n_instances: int | None = field(
        default=None,
        metadata={
            "text": "number of synthetic instances, `k`. `None`: 64 for a `Box` of actions; for discrete actions 16, with "
            "`Discrete` observations one per state, up to 64. `min_instances(action_space)` is Eq. 3 of the paper",
            "values": "whole, from 1",
        },
    )
    n_learners: int | None = field(
        default=None,
        metadata={
            "text": "fresh networks drawn and taught in each iteration. `None`: the largest divisor of the number of "
            "environments up to 8",
            "values": "a divisor of the number of environments",
        },
    )
    learner_distribution: LearnerDistributionLike | None = field(
        default=None,
        metadata={
            "text": "which networks the dataset shall teach, see [Learners](algorithm.md#learners). `None`: `policy` as SB3 "
            "initialises it",
            "values": "a name, a dict, a list of dicts or a `LearnerDistribution`",
        },
    )
    inner_loop: InnerLoopName = field(
        default="sgd",
        metadata={
            "text": 'how networks are taught: `"sgd"`, gradient steps, `"ridge"`, closed-form last layer, or '
            '`"carry"`, closed-form solve of every layer, see [Inner loops](algorithm.md#inner-loops)',
            "values": '`"sgd"`, `"ridge"`, `"carry"`',
        },
    )
    inner_learning_rate: InnerRate | None = field(
        default=None,
        metadata={
            "text": "start of the learned rate of the gradient steps. `None`: 1, for a `Box` 0.6 per action dimension, 0.5 "
            "per output for relative rates, and less where first outputs would be large, as for images",
            "values": "positive; with `inner_rate_per_role` also a list of six; with several steps a list of these for each",
        },
    )
    inner_rate_per_role: bool = field(
        default=False,
        metadata={
            "text": "learn a rate for each role of a parameter: weights and biases, of the first layer, of other hidden "
            "layers and of the last one",
            "values": "`True`, `False`",
        },
    )
    inner_rate_relative: bool | None = field(
        default=None,
        metadata={
            "text": "measure the rates of a network relative to the size of its features, so that several steps converge for "
            "networks of any scale, and one step still does when an encoder makes features larger. `None`: for images",
            "values": "`True`, `False`",
        },
    )
    carry_strength: float | None = field(
        default=None,
        metadata={
            "text": 'start of the learned strength with which `"carry"` adds labels to the outputs of hidden layers. `None`: '
            "3 for discrete actions, 0.1 for a `Box`",
            "values": "positive",
        },
    )
    n_inner_steps: int = field(default=1, metadata={"text": "number of gradient steps", "values": "whole, from 1"})
    initial_dataset: DatasetLike | None = field(
        default=None,
        metadata={
            "text": "a dataset to continue from; its inner loop and size are kept",
            "values": "a dataset, a file or the name of a shipped set",
        },
    )
    dataset_init: DatasetInit = field(
        default="normal",
        metadata={
            "text": 'how the synthetic observations start: `"normal"`, drawn from a standard normal distribution, or '
            '`"observations"`, states that a rollout of random actions visits before learning',
            "values": '`"normal"`, `"observations"`',
        },
    )
    encoder_layers: int = field(
        default=0,
        metadata={
            "text": "so many first layers of the learners are an encoder, which all of them share and which is trained with "
            "the dataset, see [Encoders](algorithm.md#encoders). 0: full distillation; all layers: PPO",
            "values": "whole, from 0 to the number of layers",
        },
    )
    encoder_from: DatasetLike | None = field(
        default=None,
        metadata={
            "text": "a dataset with more layers in its encoder to continue from; the last ones are given back to the learners",
            "values": "a dataset, a file or the name of a shipped set",
        },
    )
    autocast_dtype: AutocastDtype | None = field(
        default=None,
        metadata={
            "text": '`"bfloat16"`: networks see real observations in that precision, images with channels last, which is '
            "faster; losses, the dataset and inner learning stay in single precision",
            "values": '`"bfloat16"`',
        },
    )

    regularizers: RegularizersLike | None = field(
        default=None,
        metadata={
            "text": "what shall make a set teach learners that it was not made with, by name with its size, see "
            "[Regularisers](regularisers.md). `None`: nothing",
            "values": "a dict with any of `cvar`, `group_dro`, `dropout`, `init_noise`, `inner_noise`, `step_noise`, "
            "`agreement`",
        },
    )

    combine: Combine | None = field(
        default=None,
        metadata={
            "text": "distil for an ensemble: learners act and are judged together, by the mean of their probabilities or of "
            "their logits (for a `Box` of their means), see [Ensembles](algorithm.md#ensembles). `None`: each by itself",
            "values": '`"probs"`, `"logits"`',
        },
    )

    normalize: Normalize | None = field(
        default=None,
        metadata={
            "text": "normalise observations and rewards inside the algorithm, with running statistics like those of a "
            "`VecNormalize`, see [Normalised observations](algorithm.md#normalised-observations). `None`: observations where "
            "they are numbers in a row (no images, nothing discrete), and rewards; nothing where the environment is in a "
            "`VecNormalize` or in a normalising wrapper of Gymnasium, or the run goes on from a set that was made without",
            "values": '`True`, `False`, `"observations"`, `"rewards"`',
        },
    )

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            object.__setattr__(self, name, plain(value))


NAMES = tuple(Settings.__dataclass_fields__)
"""Names of all settings, as arguments of ``PPMO``."""


class Fixed(NamedTuple):
    """What a dataset that exists decides, whatever the arguments say: its size, its inner loop and its encoder."""

    n_instances: int
    inner_loop: Json
    encoder_layers: int

    def settings(self) -> dict[str, object]:
        """The settings that it decides, by name."""
        arguments = INNER_LOOPS[self.inner_loop["name"]].arguments
        loop = {ours: self.inner_loop[of_loop] for ours, of_loop in arguments.items() if of_loop in self.inner_loop}
        fixed = {"n_instances": self.n_instances, "encoder_layers": self.encoder_layers, "inner_loop": self.inner_loop["name"]}
        return {**fixed, **loop}


def resolve(
    arguments: Settings, observation_space: Space, action_space: Space, n_envs: int | None, fixed: Fixed | None = None
) -> Settings:
    """
    Fill in what the user left open, and check the rest.

    :param arguments: the arguments as the user gave them
    :param observation_space: observation space of the environment
    :param action_space: action space of the environment
    :param n_envs: number of environments; ``None`` without an environment
    :param fixed: what the dataset decides that the run goes on from; ``None`` for a new one
    :return: settings without open ones
    :raises ValueError: if a setting is of the wrong kind or out of range
    """
    for name in ("n_learners", "n_inner_steps"):
        value = getattr(arguments, name)
        if value is not None and (not isinstance(value, numbers.Integral) or isinstance(value, bool)):
            raise ArgumentError(
                f"`{name}` must be a whole number, got {value!r}; schedules are for learning rates and clip ranges"
            )
    sizes = Regularizers.parse(arguments.regularizers)
    weighs = bool(sizes.cvar < 1 or sizes.group_dro)
    encodes = bool(arguments.encoder_layers or arguments.encoder_from is not None)
    check_combine(arguments.combine, ("`cvar` or `group_dro`", weighs), ("an encoder", encodes))
    if arguments.dataset_init not in DATASET_INITS:
        raise ArgumentError(f"`dataset_init` must be one of {', '.join(DATASET_INITS)}, got {arguments.dataset_init!r}")
    relative = sees_images(observation_space) if arguments.inner_rate_relative is None else arguments.inner_rate_relative
    rate = arguments.inner_learning_rate
    if rate is None:
        rate = default_inner_rate(action_space, relative)
    settings = replace(
        arguments,
        n_learners=resolve_n_learners(arguments.n_learners, n_envs),
        inner_rate_relative=relative,
        inner_learning_rate=rate,
        carry_strength=default_strength(action_space) if arguments.carry_strength is None else arguments.carry_strength,
    )
    if settings.combine is not None and settings.n_learners == 1 and (arguments.n_learners == 1 or n_envs is not None):
        warn("`combine` makes one prediction of all learners, and n_learners=1 leaves nothing to combine: use several")
    if fixed is None:
        return replace(settings, n_instances=resolve_n_instances(arguments.n_instances, observation_space, action_space))
    return replace(settings, **fixed.settings())  # type: ignore[arg-type]


def inner_loop_of(settings: Settings) -> InnerLoop:
    """
    :param settings: see ``resolve``
    :return: the inner loop that they describe
    :raises ValueError: for an unknown loop, or settings that it does not have
    """
    kind = INNER_LOOPS.get(settings.inner_loop) if isinstance(settings.inner_loop, str) else None
    names = {} if kind is None else kind.arguments
    loop = make_inner_loop(settings.inner_loop, **{of_loop: getattr(settings, ours) for ours, of_loop in names.items()})
    if settings.n_inner_steps != 1 and "n_inner_steps" not in loop.arguments:
        raise ArgumentError(
            f"`n_inner_steps` must be 1 for the inner loop {settings.inner_loop!r}, got {settings.n_inner_steps}"
        )
    return loop
