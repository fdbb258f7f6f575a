"""Offline RL judges architectures: networks learn from recorded play, without an environment, all seeds at once."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
import torch as th

from sb3_distill.arguments import positive, whole
from sb3_distill.environments.foreign.hand_over import EnvSource
from sb3_distill.errors import ArgumentError
from sb3_distill.offline.recording import Recording
from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.score import Score
from sb3_distill.search.scores.networks import checked_seeds, template
from sb3_distill.search.scores.recorded.bc import StackedBC, held_out_loss
from sb3_distill.search.scores.recorded.iql import IQLSettings, StackedIQL
from sb3_distill.search.scores.recorded.td3_bc import StackedTD3BC, TD3BCSettings, check_td3_bc
from sb3_distill.search.scores.recorded.transitions import Transitions, draw_rows, split
from sb3_distill.search.scores.recorded.twin_critics import check_action_values
from sb3_distill.search.scores.stacked.acting import StackedActors, mean_returns, name_of
from sb3_distill.typing import Json, Kwargs, Space

MethodName: TypeAlias = Literal["bc", "td3+bc", "iql"]
"""Ways of learning from recorded play."""
By: TypeAlias = Literal["loss", "return"]
"""What a trained actor is judged by."""
DRAWS = 2**59
"""Added to the seed of a network for its minibatches."""
SPLIT = 0
"""Seed of the choice of episodes that are held out: the same for all architectures and seeds."""


class OfflineLearner(Protocol):
    """M actors that learn from recorded play."""

    actors: StackedActors

    @property
    def diverged(self) -> th.Tensor:
        """Whether a gradient was not finite at some time ``(M,)``."""

    def step(self, rows: th.Tensor) -> dict[str, th.Tensor]:
        """
        :param rows: numbers of the steps of a minibatch of each actor ``(M, b)``
        :return: figures of each actor by name ``(M,)``
        """


class Method(NamedTuple):
    """
    A way of learning from recorded play.

    :param learner: makes the actors that learn
    :param settings: dataclass of its settings; ``None`` without any
    :param check: refuses spaces that it does not learn for
    :param n_steps: default number of steps
    :param by: what its actors are judged by, by default
    :param normalize: whether observations are normalised by default
    """

    learner: Callable[..., OfflineLearner]
    settings: type[IQLSettings] | type[TD3BCSettings] | None
    check: Callable[[Space, Space], None]
    n_steps: int
    by: By
    normalize: bool


METHODS: dict[str, Method] = {
    "bc": Method(StackedBC, None, lambda observations, actions: None, 150, "loss", False),
    "td3+bc": Method(StackedTD3BC, TD3BCSettings, check_td3_bc, 2_000, "return", True),
    "iql": Method(StackedIQL, IQLSettings, check_action_values, 2_000, "return", False),
}
"""Methods by name."""


class OfflineScore:
    """
    What networks learn from recorded play by Adam: behaviour cloning, TD3+BC (Fujimoto & Gu 2021,
    https://arxiv.org/abs/2106.06860) or IQL (Kostrikov et al. 2021, https://arxiv.org/abs/2110.06169).

    The networks of all seeds are trained at once. A network has its own initial parameters and minibatches, which follow from
    its seed alone.

    ``by="loss"`` is minus the loss on steps that are held out: cross-entropy in nats, or squared error in units of the
    actions. It says how well a network imitates, whoever has played. ``by="return"`` is the mean return in an environment.

    :param recording: recorded play, or the path of a file; ``Recording.from_minari`` reads a Minari dataset
    :param method: ``"bc"``, ``"td3+bc"`` (for a ``Box`` with bounds alone) or ``"iql"`` (for ``Discrete`` or a ``Box``)
    :param n_steps: number of minibatches, the whole budget; ``None``: 150 for ``"bc"``, 2,000 for others
    :param held_out: share of the steps that are held out, whole episodes where there are enough
    :param by: ``"loss"`` or ``"return"``; ``None``: the loss for ``"bc"``, the return for others
    :param env: environment of returns: an id, or anything else of which any number can be made; ``None``: that of the
        recording
    :param n_episodes: episodes of each network, where returns count
    :param n_envs: environments of each network, where these are dear
    :param env_kwargs: arguments of the environment; ``None``: those of the recording
    :param batch_size: steps of a minibatch of each network
    :param learning_rate: step size, where the architecture names none
    :param normalize: whether observations are normalised by the statistics of the recording; ``None``: for ``"td3+bc"`` alone
    :param settings: fields of ``TD3BCSettings`` or ``IQLSettings``
    :param name: name in tables and files; ``None`` for ``"offline"`` and the method
    :raises RecordingError: if the recording has no steps, or its file cannot be used
    :raises ValueError: for spaces that the method does not learn for, an unknown name, a number out of range, or returns of a
        recording that names no environment
    """

    def __init__(
        self,
        recording: Recording | str,
        method: MethodName = "bc",
        n_steps: int | None = None,
        held_out: float = 0.1,
        by: By | None = None,
        env: EnvSource | None = None,
        n_episodes: int = 50,
        n_envs: int = 16,
        env_kwargs: Kwargs | None = None,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        normalize: bool | None = None,
        settings: Mapping[str, object] | None = None,
        name: str | None = None,
    ) -> None:
        if method not in METHODS:
            raise ArgumentError(f"unknown `method` {method!r}; known are {', '.join(METHODS)}")
        chosen = METHODS[method]
        if (by := chosen.by if by is None else by) not in ("loss", "return"):
            raise ArgumentError(f"`by` must be 'loss' or 'return', got {by!r}")
        self.recording, self.method, self.by, self.held_out = Recording.of(recording), method, by, held_out
        self.budget = whole("n_steps", chosen.n_steps if n_steps is None else n_steps)
        self.name = f"offline {method}" if name is None else name
        self.n_episodes, self.n_envs = whole("n_episodes", n_episodes), whole("n_envs", n_envs)
        self.batch_size, self.learning_rate = whole("batch_size", batch_size), positive("learning_rate", learning_rate)
        chosen.check(self.recording.observation_space, self.recording.action_space)
        origin = self.recording.origin
        self.env: EnvSource | None = origin.env_id if env is None else env
        self.env_kwargs = dict(origin.env_kwargs if env is None and env_kwargs is None else env_kwargs or {})
        if by == "return" and self.env is None:
            raise ArgumentError("the recording names no environment: pass `env`, or judge with by='loss'")
        self.settings = _settings_of(chosen, settings, method)
        self.normalize = chosen.normalize if normalize is None else bool(normalize)
        self._normalization = self.recording.normalization() if self.normalize else None
        self._transitions = Transitions(self.recording, self._normalization)
        self._rows, self._held_rows = split(self.recording.columns.ends, held_out, SPLIT)

    def describe(self) -> Json:
        evaluation = {"env_id": name_of(self.env), "env_kwargs": self.env_kwargs, "n_episodes": self.n_episodes}
        return {
            "evaluator": "offline", "method": self.method, "n_steps": self.budget, "held_out": self.held_out, "by": self.by,
            "batch_size": self.batch_size, "learning_rate": self.learning_rate, "normalize": self.normalize,
            "settings": self.settings and asdict(self.settings), "recording": self._digest(),
            **(evaluation if self.by == "return" else {}),
        }  # fmt: skip

    def _digest(self) -> list[float]:
        """Sums that tell recordings apart."""
        columns, actions = self.recording.columns, self._transitions.actions.double()
        sums = (
            len(self.recording),
            len(columns.ends),
            columns.rewards.sum(dtype=float),
            actions.sum(),
            actions.square().sum(),
        )
        return [float(f"{float(value):.9g}") for value in sums]

    def score(self, architecture: PolicyArchitecture, seeds: Sequence[int], budget: int | None = None) -> Score:
        """
        :param architecture: the architecture
        :param seeds: one network for each
        :param budget: number of minibatches; ``None`` for ``n_steps``
        :return: figure of each network, see the class; minus infinity for one that diverged. Steps of episodes that judge
            networks do not count as ``env_steps``
        :raises ValueError: if the architecture does not fit the spaces, or there are no seeds
        """
        start, seeds = time.perf_counter(), checked_seeds(seeds)
        learner = self.train(architecture, seeds, budget)
        if self.by == "loss":
            figures = -held_out_loss(learner.actors, self._transitions, self._held_rows).double().numpy()
        else:
            assert self.env is not None
            figures = mean_returns(learner.actors, self.env, self.n_episodes, self.n_envs, seeds, self.env_kwargs)
        figures = np.where(learner.diverged.numpy() | ~np.isfinite(figures), -np.inf, figures)
        return Score(tuple(figures.tolist()), time.perf_counter() - start)

    def train(self, architecture: PolicyArchitecture, seeds: Sequence[int], budget: int | None = None) -> OfflineLearner:
        """
        :param architecture: the architecture
        :param seeds: one network for each
        :param budget: number of minibatches; ``None`` for ``n_steps``
        :return: the trained actors
        :raises ValueError: if the architecture does not fit the spaces, or there are no seeds
        """
        seeds, n_steps = checked_seeds(seeds), self.budget if budget is None else whole("budget", budget)
        policy = template(architecture, self.recording.observation_space, self.recording.action_space)
        rate = architecture.rate(self.learning_rate)
        more: dict[str, Any] = {} if self.settings is None else {"settings": self.settings}
        learner = METHODS[self.method].learner(policy, seeds, self._transitions, rate, self._normalization, **more)
        generators = [th.Generator().manual_seed((seed + DRAWS) % 2**63) for seed in seeds]
        for _ in range(n_steps):
            learner.step(draw_rows(self._rows, self.batch_size, generators))
        return learner


def _settings_of(method: Method, settings: Mapping[str, object] | None, name: str) -> IQLSettings | TD3BCSettings | None:
    known = [] if method.settings is None else [field.name for field in fields(method.settings)]
    if unknown := set(settings or {}) - set(known):
        raise ArgumentError(f"{name} has no setting {min(unknown)!r}; known are {', '.join(known) or 'none'}")
    return None if method.settings is None else method.settings(**(settings or {}))  # type: ignore[arg-type]
