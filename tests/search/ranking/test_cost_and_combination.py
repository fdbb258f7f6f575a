"""Costs, scores that are put together, and factors of architectures."""

import math

import numpy as np
import pytest

from sb3_distill.search.ranking.combination import factors_of, importance, rank_average
from sb3_distill.search.ranking.cost import Cost, break_even


def test_a_cost_is_what_is_paid_once_and_for_each():
    cost = Cost([0.1, 0.1, 9.0], {"distilling": 100, "recording": 20})
    assert cost.per_candidate == 0.1
    assert cost.once == 120
    assert cost.of(10) == pytest.approx(121)
    assert Cost(**cost.to_json()) == cost


@pytest.mark.parametrize(
    "cost, other, n",
    [
        (Cost([1], {"set": 100}), Cost([11]), 10),
        (Cost([1], {"set": 101}), Cost([11]), 11),
        (Cost([1], {"set": 100}), Cost([11], {"data": 90}), 1),
        (Cost([1]), Cost([11]), 0),
        (Cost([11]), Cost([1]), math.inf),
        (Cost([11]), Cost([1], {"data": 1000}), math.inf),  # a large search is dearer
        (Cost([1], {"set": 5}), Cost([1]), math.inf),
        (Cost([1], {"set": 5}), Cost([1], {"set": 6}), 0),
    ],
)
def test_candidates_from_which_a_fixed_cost_pays(cost, other, n):
    assert break_even(cost, other) == n
    if 0 < n < math.inf:
        assert cost.of(n) <= other.of(n)
        assert cost.of(n - 1) > other.of(n - 1)


def test_a_cost_is_a_number_from_0():
    with pytest.raises(ValueError, match="`seconds` must be a number from 0, got -1"):
        Cost([-1])
    with pytest.raises(ValueError, match=r"`fixed\['set'\]` must be a number from 0, got nan"):
        Cost([1], {"set": math.nan})
    with pytest.raises(ValueError, match="`seconds` is empty"):
        Cost([])


def test_ranks_are_averaged_whatever_the_units():
    one, two = np.array([1.0, 2.0, 3.0]), np.array([1e9, 3e9, 2e9])
    np.testing.assert_allclose(rank_average([one, two]), [1, 2.5, 2.5])
    np.testing.assert_allclose(rank_average([one, np.exp(two / 1e9)]), rank_average([one, two]))
    np.testing.assert_allclose(rank_average([np.array([5.0, 5.0, 1.0])]), [2.5, 2.5, 1])  # ties have the mean rank
    with pytest.raises(ValueError, match=r"got numbers of \[3, 2\]"):
        rank_average([one, two[:2]])
    with pytest.raises(ValueError, match=r"one at least, got numbers of \[\]"):
        rank_average([])


def test_factors_of_nested_architectures():
    factors = factors_of({"policy_kwargs": {"net_arch": [32, 128]}, "depth": 2, "init": None, "layer_norm": True})
    assert factors == {
        "policy_kwargs.net_arch depth": 2, "policy_kwargs.net_arch width": 64.0, "depth": 2, "init": None, "layer_norm": True,
    }  # fmt: skip
    assert factors_of({"strides": ["a", "b"], "gains": [0.0, 1.0]}) == {
        "strides": "['a', 'b']", "gains depth": 2, "gains width": 0.5,
    }  # fmt: skip


def architectures(n=120, seed=0):
    rng = np.random.default_rng(seed)
    return [
        {
            "width": int(np.exp(rng.uniform(2, 5.5))),
            "depth": int(rng.integers(1, 7)),
            "activation": str(rng.choice(["tanh", "relu", "elu", "gelu"])),
            "layer_norm": bool(rng.random() < 0.5),
            "weight": 1.0,
        }
        for _ in range(n)
    ]


def test_the_factor_that_decides_is_found():
    drawn = architectures()
    found = importance(drawn, np.array([np.log(one["width"]) for one in drawn]))
    assert next(iter(found)) == "width"
    assert found["width"].alone > 0.9
    assert found["width"].beyond > 0.8
    assert "weight" not in found  # it does not vary
    assert all(found[name].alone < 0.1 for name in ("depth", "activation", "layer_norm"))


def test_a_width_between_small_and_large_is_found_too():
    drawn = architectures()
    values = np.array([-((np.log(one["width"]) - 3.75) ** 2) for one in drawn])
    assert importance(drawn, values)["width"].alone > 0.7


def test_words_and_truth_values_are_factors():
    drawn = architectures()
    noise = np.random.default_rng(1).normal(size=120)
    found = importance(
        drawn, np.array([2.0 * (one["activation"] == "relu") + one["layer_norm"] for one in drawn]) + 0.1 * noise
    )
    assert found["activation"].alone > 0.4
    assert 0.1 < found["layer_norm"].alone < 0.5
    assert found["width"].alone < 0.1


def test_factors_that_say_the_same_are_not_alone():
    drawn = [{**one, "parameters": one["width"] ** 2} for one in architectures()]
    found = importance(drawn, np.array([one["width"] for one in drawn], dtype=float))
    assert found["width"].alone == pytest.approx(found["parameters"].alone)
    assert found["width"].beyond < 1e-6


def test_chance_is_what_unrelated_values_give():
    drawn = architectures(40)
    rng = np.random.default_rng(0)
    found = [importance(drawn, rng.normal(size=40)) for _ in range(200)]
    for name in ("width", "activation", "layer_norm"):
        assert np.mean([one[name].alone for one in found]) == pytest.approx(found[0][name].chance, rel=0.25)


def test_few_architectures_have_no_importance():
    with pytest.warns(UserWarning, match="9 architectures are too few for the importance of factors"):
        assert importance(architectures(9), np.arange(9)) == {}
    assert importance(architectures(20), np.ones(20)) == {}
    found = importance(architectures(12), np.arange(12))
    assert math.isnan(found["width"].beyond)
    assert found["width"].summary()["beyond"] is None
    with pytest.raises(ValueError, match="a value is needed for each architecture, got 3 for 20 of them"):
        importance(architectures(20), np.arange(3))
