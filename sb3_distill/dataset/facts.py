"""What a person wants to know of an object, in one line and as a table of a notebook."""

import html
from collections.abc import Mapping

from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.typing import Json

LONGEST = 120
"""Characters of a fact; longer ones are cut."""


class HasFacts:
    """An object whose ``repr`` in a console and table in a notebook are made of its ``facts``."""

    def facts(self) -> dict[str, object]:
        """What is to be known of the object, by name."""
        raise NotImplementedError

    def __repr__(self) -> str:
        facts = (f"{name}={_shortened(repr(value))}" for name, value in self.facts().items())
        return f"{type(self).__name__}({', '.join(facts)})"

    def _repr_html_(self) -> str:
        """A table, for notebooks. Texts may come from a file of a stranger, and are shown as they are."""
        rows = (
            f"<tr><th style='text-align:left'>{_escaped(name)}</th><td style='text-align:left'>{_escaped(value)}</td></tr>"
            for name, value in self.facts().items()
        )
        return f"<table><caption>{_escaped(type(self).__name__)}</caption>{''.join(rows)}</table>"


def facts_of(info: DatasetInfo, k: int) -> dict[str, object]:
    """
    :param info: description of a dataset
    :param k: number of its instances
    :return: what is to be known of the dataset, by name
    """
    facts: dict[str, object] = {
        "k": k,
        "task": _task_in_words(info),
        "inner_loop": inner_loop_in_words(info.inner_loop),
        "policy": info.policy or info.module or "custom",
        "observations": _space_in_words(info.observation_space),
        "actions": _space_in_words(info.action_space),
        "normalized": info.normalization is not None,
        "encoder_layers": info.encoder_layers,
        "timesteps": info.timesteps,
    }
    facts = {name: value for name, value in facts.items() if value or name in ("k", "task")}
    return {**facts, "scores": scores_in_words(info.scores) or "not evaluated"}


def _task_in_words(info: DatasetInfo) -> str | None:
    if (n_examples := info.data.get("n_examples")) is not None:
        return f"{n_examples} examples"
    return f"{info.env_id}{info.env_kwargs or ''}" if info.env_id else None


def inner_loop_in_words(settings: Json) -> str:
    """
    :param settings: an inner loop, as ``DatasetInfo.inner_loop`` has it
    :return: the same in a few words
    """
    name, n_steps, as_drawn = str(settings.get("name")), settings.get("n_steps"), settings.get("as_drawn")
    if as_drawn:
        return f"{name}, not through {len(as_drawn)} layer{'' if len(as_drawn) == 1 else 's'}"
    return name if n_steps is None else f"{name}, {n_steps} step{'' if n_steps == 1 else 's'}"


def scores_in_words(scores: object) -> str:
    """
    :param scores: summaries of evaluations by name; whatever a file says
    :return: mean and standard deviation of each that has them
    """
    words = []
    for name, summary in scores.items() if isinstance(scores, Mapping) else ():
        if isinstance(summary, Mapping) and all(isinstance(summary.get(key), (int, float)) for key in ("mean", "std")):
            words.append(f"{name} {summary['mean']:.1f} ± {summary['std']:.1f}")
    return ", ".join(words)


def _space_in_words(space: object) -> str:
    """A space without the bounds of each number."""
    spaces = getattr(space, "spaces", None)
    if isinstance(spaces, Mapping):
        return ", ".join(f"{key}: {_space_in_words(part)}" for key, part in spaces.items())
    shape = getattr(space, "shape", ())
    return f"{type(space).__name__}{shape}" if shape and type(space).__name__ == "Box" else str(space)


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _escaped(value: object) -> str:
    return html.escape(_shortened("".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value))))
