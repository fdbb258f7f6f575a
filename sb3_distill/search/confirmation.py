"""From what was tried to a result: scores side by side, and picks that RL trains again with new seeds."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from tqdm.auto import tqdm

from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.ranking.correlation import means_of
from sb3_distill.search.ranking.cost import Cost
from sb3_distill.search.ranking.result import SearchResult
from sb3_distill.search.ranking.stored import TRUTH
from sb3_distill.search.score import Evaluator, Score
from sb3_distill.search.study.result import WayResult
from sb3_distill.typing import Array, Json

BASELINES = ("default", "median", "random")
"""SB3's default network; the one in the middle of the truth, or of the first way's order; and one of the rest at random."""
NATURE_CNN = PolicyArchitecture((512,), "relu", convolutions=((32, 8, 4), (64, 4, 2), (64, 3, 1)))  # type: ignore[arg-type]
"""SB3's default network for images."""


def joined(
    results: Mapping[str, WayResult],
    truth: str | None = None,
    fixed: Mapping[str, float] | None = None,
    info: Json | None = None,
) -> SearchResult:
    """
    :param results: what each way has tried
    :param truth: the way whose scores are the truth, where it has judged every architecture; ``None`` for no truth
    :param fixed: seconds that a way has spent once, by way
    :param info: what else belongs to the result
    :return: scores and costs of all architectures with at least one score, and the pick of each way. A network that diverged
        has the lowest finite score of its way
    :raises ValueError: if no way has finished an architecture
    """
    finished = {way: {one.key: (one, score) for one, score in result.finished} for way, result in results.items()}
    networks = {key: one for found in finished.values() for key, (one, _) in found.items()}
    keys, scores, costs = list(networks), {}, {}
    for way, found in finished.items():
        if not found:
            continue
        n_seeds = len(next(iter(found.values()))[1].per_seed)
        matrix = np.full((len(keys), n_seeds), np.nan)
        for key, (_, score) in found.items():
            matrix[keys.index(key)] = score.per_seed
        once = (fixed or {}).get(way, 0.0)
        scores[way] = _without_infinity(matrix)
        costs[way] = Cost([score.seconds for _, score in found.values()], {"making the data": once} if once else {})
    returns = None
    if truth in scores and not np.isnan(scores[truth]).any():
        returns = scores.pop(truth)
        costs[TRUTH] = costs.pop(truth)
    result = SearchResult(
        keys, [one.to_json() for one in networks.values()], scores, returns, costs, info=info or {},
    )  # fmt: skip
    picks = {way: result.best(way)[0] for way in scores}
    if returns is not None:
        picks[str(truth)] = keys[int(means_of(returns).argmax())]
    return replace(result, picks=picks)


def with_controls(result: SearchResult, controls: Sequence[Evaluator], seeds: Sequence[int]) -> SearchResult:
    """
    :param result: a result
    :param controls: ways of judging that others should beat
    :param seeds: seeds of networks
    :return: the result with their scores
    """
    networks = [PolicyArchitecture.of(architecture) for architecture in result.architectures]
    scores, costs = dict(result.scores), dict(result.costs)
    for control in controls:
        judged = [control.score(network, seeds) for network in networks]
        scores[control.name] = _without_infinity(np.array([score.per_seed for score in judged]))
        costs[control.name] = Cost([score.seconds for score in judged])
    return replace(result, scores=scores, costs=costs)


def to_confirm(result: SearchResult, n: int, seed: int = 0) -> dict[str, PolicyArchitecture]:
    """
    :param result: a result
    :param n: number of the best architectures of each way
    :param seed: seed of the one that is picked at random
    :return: by name, the architectures that should be trained again: the best of each way, and ``BASELINES``. The one at
        random is none of the best, if there are others
    """
    networks = [PolicyArchitecture.of(architecture) for architecture in result.architectures]
    ways = {way: values for way, values in result.scores.items() if way in result.picks}  # no controls
    if result.truth is not None:
        ways[next((way for way in result.picks if way not in ways), TRUTH)] = result.truth
    best = {
        way if place == 0 else f"{way}, {place + 1}": index
        for way, values in ways.items()
        for place, index in enumerate(_order(values)[:n])
    }
    order = _order(next(iter(ways.values())) if result.truth is None else result.truth)
    rest = [index for index in range(len(networks)) if index not in best.values()] or list(range(len(networks)))
    default = NATURE_CNN if networks[0].convolutions else PolicyArchitecture()
    baselines = (default, networks[order[len(order) // 2]], networks[random.Random(seed).choice(rest)])
    return {**{name: networks[index] for name, index in best.items()}, **dict(zip(BASELINES, baselines, strict=True))}


def confirmed(
    result: SearchResult, judge: Evaluator, n: int, seeds: Sequence[int], seed: int = 0, progress_bar: bool = False
) -> SearchResult:
    """
    Train the best architectures of each way, and baselines, with seeds that no way has seen.

    :param result: a result
    :param judge: trains fully: RL
    :param n: number of the best architectures of each way
    :param seeds: new seeds
    :param seed: seed of the baseline that is picked at random
    :param progress_bar: whether a bar is shown
    :return: the result with the returns of each new seed; a network that diverged has the lowest return of all
    """
    scores: dict[str, Score] = {}
    chosen = to_confirm(result, n, seed)
    for one in tqdm(chosen.values(), desc="confirm", unit="architecture", disable=not progress_bar):
        if one.key not in scores:  # two ways may pick the same one
            scores[one.key] = judge.score(one, seeds)
    returns = _without_infinity(np.array([scores[one.key].per_seed for one in chosen.values()]))
    return replace(result, confirmations=dict(zip(chosen, returns, strict=True)), baselines=BASELINES)


def _order(values: Array) -> list[int]:
    """Indices from the best to the worst, those without a score left out."""
    means = values.reshape(len(values), -1).mean(axis=1)
    return [int(index) for index in np.argsort(-means, kind="stable") if np.isfinite(means[index])]


def _without_infinity(values: Array) -> Array:
    """The same with the lowest finite number in place of minus infinity; 0 where nothing is finite."""
    finite = values[np.isfinite(values)]
    return np.where(np.isinf(values), finite.min() if len(finite) else 0.0, values)
