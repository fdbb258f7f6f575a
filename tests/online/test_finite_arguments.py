"""Numbers that could not be written are refused before anything is learned."""

import math

import pytest
from helpers import small_env

from sb3_distill import PPMO
from sb3_distill.errors import ArgumentError

NAN, INFINITE = math.nan, math.inf
CASES = [
    ("gamma", NAN, "`gamma` must be finite"),
    ("gae_lambda", NAN, "`gae_lambda` must be finite"),
    ("ent_coef", INFINITE, "`ent_coef` must be finite"),
    ("vf_coef", NAN, "`vf_coef` must be finite"),
    ("weight_decay", INFINITE, "`weight_decay` must be finite"),
    ("max_grad_norm", NAN, "`max_grad_norm` must be finite"),
    ("target_kl", NAN, "`target_kl` must be finite"),
    ("clip_range", NAN, "`clip_range` must be finite"),
    ("labels_learning_rate", INFINITE, "that of labels is inf"),
    ("critic_learning_rate", NAN, "that of critic is nan"),
    ("rates_learning_rate", "lin_inf", "that of rates is"),
    ("inner_learning_rate", INFINITE, "positive and finite"),
    ("inner_learning_rate", 1e300, "positive and finite"),
    ("policy_kwargs", {"log_std_init": NAN}, "log_std_init=nan"),
    ("policy_kwargs", {"features_extractor_kwargs": {"a": [1.0, INFINITE]}}, "must be finite"),
]


@pytest.mark.parametrize("name, value, message", CASES, ids=[f"{name}={value}" for name, value, _ in CASES])
def test_a_number_that_is_not_finite(name, value, message):
    with pytest.raises(ArgumentError, match=message):
        PPMO("MlpPolicy", small_env(), n_steps=8, **{name: value})


def test_a_live_argument_is_refused_before_the_next_update():
    model = PPMO("MlpPolicy", small_env(), n_steps=8, n_epochs=1, seed=0).learn(64)
    model.gamma, labels = NAN, model.dataset.labels.detach().clone()
    with pytest.raises(ArgumentError, match="`gamma` must be finite"):
        model.learn(64, reset_num_timesteps=False)
    assert model.dataset.labels.equal(labels)


@pytest.mark.parametrize("name", ["max_grad_norm", "target_kl"])
def test_an_infinite_bound_bounds_nothing(name):
    PPMO("MlpPolicy", small_env(), n_steps=8, n_epochs=1, seed=0, **{name: INFINITE}).learn(64)
