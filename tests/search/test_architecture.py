import math

import pytest

from sb3_distill.search.architecture import PolicyArchitecture


def test_equal_networks_have_equal_keys():
    numbers = [PolicyArchitecture((8,), hidden_gain=2**0.5), PolicyArchitecture([8], hidden_gain=math.sqrt(2) + 1e-9)]
    assert numbers[0].key == numbers[1].key
    assert PolicyArchitecture((8,), init="pytorch", last_gain=1.0) == PolicyArchitecture((8,), init="pytorch")
    assert PolicyArchitecture((8,)).key != PolicyArchitecture((8, 8)).key


def test_the_json_form_comes_back():
    architecture = PolicyArchitecture((32, 16), "relu", True, "xavier_normal", 1.5, 0.5, [(8, 3, 1)], 1e-3)
    assert PolicyArchitecture.of(architecture.to_json()) == architecture
    assert str(architecture) == "8@3/1 32-16 relu norm xavier_normal 1.5/0.5, rate 0.001"


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"widths": []}, "whole numbers from 1"),
        ({"widths": [0]}, "whole numbers from 1"),
        ({"widths": 64}, "whole numbers from 1"),
        ({"convolutions": [(8, 3)]}, "triples"),
        ({"activation": "swish"}, "known are tanh"),
        ({"init": "he"}, "known are orthogonal"),
        ({"layer_norm": 1}, "true or false"),
        ({"last_gain": 0}, "positive"),
        ({"learning_rate": math.inf}, "positive"),
        ({"wdiths": [3]}, "unknown field 'wdiths'"),
    ],
)
def test_bad_fields_are_named(fields, words):
    with pytest.raises(ValueError, match=words):
        PolicyArchitecture.of(fields)
