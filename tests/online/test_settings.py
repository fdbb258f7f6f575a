"""What shapes a dataset is fixed once; what does not stays live."""

import re
from pathlib import Path

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback

from sb3_distill import PPMO, DAgger, Expert, make_vec_env
from sb3_distill.outer_loop.settings import Settings

SMALL = dict(n_steps=16, batch_size=32, n_epochs=1, policy_kwargs=dict(net_arch=[8]), seed=0, device="cpu")
ROLLOUT = 4 * 16


@pytest.fixture
def env():
    return make_vec_env("NDCartPole1D-v0", 4, seed=0)


class Set(BaseCallback):
    """Sets an attribute of the model when the second rollout ends."""

    def __init__(self, name, value):
        super().__init__()
        self.name, self.value, self.n = name, value, 0

    def _on_step(self):
        return True

    def _on_rollout_end(self):
        self.n += 1
        if self.n == 2:
            setattr(self.model, self.name, self.value)


def labels_after(env, n_rollouts, callback=None, **arguments):
    model = PPMO("MlpPolicy", env, **{**SMALL, **arguments})
    model.learn(n_rollouts * ROLLOUT, callback)
    return model.dataset.labels.detach().clone(), model


@pytest.mark.parametrize(
    "name, value",
    [
        ("learning_rate", 0.05),
        ("learning_rate", "lin_0.05"),
        ("learning_rate", lambda progress: 0.05 * progress),
        ("labels_learning_rate", 0.5),
        ("rates_learning_rate", "lin_0.5"),
        ("n_epochs", 3),
        ("batch_size", 64),
        ("clip_range", 0.001),
        ("clip_range", "lin_0.001"),
        ("clip_range_vf", 0.001),
        ("normalize_advantage", False),
        ("ent_coef", 0.5),
        ("max_grad_norm", 1e-12),
        ("weight_decay", 10.0),
        ("target_kl", 1e-12),
    ],
)
def test_what_a_callback_sets_takes_effect_in_the_same_iteration(env, name, value):
    before, _ = labels_after(env, 2)
    after, model = labels_after(env, 2, Set(name, value))
    assert getattr(model, name) is value
    changed = not after.equal(before)
    if name == "rates_learning_rate":
        plain, _ = labels_after(env, 3)
        changed = not labels_after(env, 3, Set(name, value))[0].equal(plain)
    if name in ("clip_range_vf", "weight_decay"):  # the critic learns otherwise, or the observations
        other = PPMO("MlpPolicy", env, **SMALL).learn(2 * ROLLOUT)
        parts = (
            (model.policy.value_net.weight, other.policy.value_net.weight),
            (
                model.dataset.observations,
                other.dataset.observations,
            ),
        )
        changed = any(not one.equal(two) for one, two in parts)
    assert changed


@pytest.mark.parametrize("name, value", [("gamma", 0.1), ("gae_lambda", 0.1), ("vf_coef", 0.0)])
def test_what_a_script_sets_takes_effect_in_the_next_rollout(env, name, value):
    model = PPMO("MlpPolicy", env, **SMALL).learn(ROLLOUT)
    setattr(model, name, value)
    model.learn(ROLLOUT, reset_num_timesteps=False)
    other = PPMO("MlpPolicy", env, **SMALL).learn(ROLLOUT)
    other.learn(ROLLOUT, reset_num_timesteps=False)
    if name == "vf_coef":
        assert not model.policy.value_net.weight.equal(other.policy.value_net.weight)
    else:
        assert getattr(model.rollout_buffer, name) == value
        assert not np.array_equal(model.rollout_buffer.advantages, other.rollout_buffer.advantages)


def test_what_custom_objects_say_takes_effect(env, tmp_path):
    PPMO("MlpPolicy", env, **SMALL).learn(ROLLOUT).save(tmp_path / "model.zip")
    model = PPMO.load(tmp_path / "model.zip", env, custom_objects={"learning_rate": "lin_0.7", "n_learners": 2})
    assert model.n_learners == 2
    model.learn(ROLLOUT, reset_num_timesteps=False)
    assert model._step_sizes()["learning"] == pytest.approx(0.7 * max(0.0, model._current_progress_remaining))


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("ent_coef", "much", "`ent_coef` must be a number"),
        ("batch_size", 1, "`batch_size` must be"),
        ("n_epochs", 0, "`n_epochs` must be at least 1"),
        ("learning_rate", 2, "n_instances=2"),
        ("learning_rate", "quick", "a schedule must be written"),
        ("max_grad_norm", -1.0, "`max_grad_norm` must not be negative"),
    ],
)
def test_what_is_set_wrongly_is_named(env, name, value, message):
    model = PPMO("MlpPolicy", env, **SMALL).learn(ROLLOUT)
    setattr(model, name, value)
    with pytest.raises((ValueError, AssertionError), match=message):
        model.learn(ROLLOUT)


def test_the_third_positional_argument_is_the_learning_rate(env):
    assert PPMO("MlpPolicy", env, 3e-4).learning_rate == 3e-4
    for number in (3, np.int64(3)):
        with pytest.raises(ValueError, match="`learning_rate` must be a step size .* is called n_instances=3"):
            PPMO("MlpPolicy", env, number)


def test_arguments_of_distillation_are_keywords(env):
    with pytest.raises(TypeError, match="positional"):
        PPMO("MlpPolicy", env, *[None] * 24, 3)


def test_numbers_are_resolved_and_arguments_are_kept(env):
    model = PPMO("MlpPolicy", env, **SMALL)
    assert model.arguments == Settings()
    assert (model.n_instances, model.n_learners, model.encoder_layers, model.inner_loop) == (16, 4, 0, "sgd")
    assert model.inner_rate_relative is False
    assert model.inner_learning_rate == 1.0


def test_what_shapes_the_dataset_cannot_be_set(env):
    model = PPMO("MlpPolicy", env, **SMALL)
    for name in ("n_instances", "encoder_layers", "inner_loop"):
        with pytest.raises(AttributeError, match=f"`{name}` shapes the dataset"):
            setattr(model, name, 5)


def test_a_model_is_loaded_with_the_arguments_that_it_was_made_with(env, tmp_path):
    PPMO("MlpPolicy", env, n_instances=None, **SMALL).save(tmp_path / "model.zip")
    for n_instances in (None, 16):
        model = PPMO.load(tmp_path / "model.zip", env, n_instances=n_instances)
        assert model.n_instances == model.dataset.n_instances == 16
    with pytest.raises(ValueError, match="`n_instances` cannot change from 16 to 3"):
        PPMO.load(tmp_path / "model.zip", env, n_instances=3)
    PPMO("MlpPolicy", env, n_instances=5, **SMALL).save(tmp_path / "five.zip")
    assert PPMO.load(tmp_path / "five.zip", env).n_instances == 5
    with pytest.raises(ValueError, match="`n_instances` cannot change from 5 to None"):
        PPMO.load(tmp_path / "five.zip", env, n_instances=None)


def test_a_continued_model_is_loaded_again(env, tmp_path):
    first = PPMO("MlpPolicy", env, n_instances=5, encoder_layers=1, inner_loop="ridge", **SMALL).learn(ROLLOUT)
    with pytest.warns(UserWarning, match="n_instances=7 is not used"):
        model = PPMO("MlpPolicy", env, initial_dataset=first.dataset, n_instances=7, **SMALL)
    assert (model.n_instances, model.encoder_layers) == (5, 1)
    model.save(tmp_path / "model.zip")
    again = PPMO.load(tmp_path / "model.zip", env)
    assert (again.n_instances, again.encoder_layers) == (5, 1)
    assert again.dataset.inner_loop.name == again.inner_loop == model.inner_loop == "ridge"
    again.learn(ROLLOUT)


def test_a_zip_leaves_out_what_is_made_anew(env):
    model, theirs = PPMO("MlpPolicy", env, **SMALL), PPO("MlpPolicy", "CartPole-v1", device="cpu")
    assert set(model._excluded_save_params()) - set(theirs._excluded_save_params()) == {"parts", "signs"}


@pytest.mark.parametrize("argument", ["n_epochs", "gamma"])
def test_dagger_names_itself_where_an_argument_is_not_its(env, argument):
    expert = Expert(PPMO("MlpPolicy", env, **SMALL).policy)
    with pytest.raises(TypeError, match=rf"DAgger\.__init__\(\) got an unexpected keyword argument '{argument}'"):
        DAgger("MlpPolicy", env, expert, **{argument: 0.9})


def test_the_docs_table_says_what_the_settings_say():
    page = (Path(__file__).parents[2] / "docs" / "hyperparameters.md").read_text()
    for name, field in Settings.__dataclass_fields__.items():
        (row,) = re.findall(rf"^\| `{name}` \|.*$", page, re.MULTILINE)
        assert row.endswith(f"| {field.metadata['text']}. Values: {field.metadata['values']} |"), "python docs/tables.py"


def test_settings_may_be_set_before_the_model_is_set_up(env):
    model = PPMO("MlpPolicy", env, _init_setup_model=False, **SMALL)
    assert model.n_instances is None
    model.n_instances = 3
    assert model.n_instances == 3
    model._setup_model()
    assert model.dataset.n_instances == 3


def test_custom_objects_count_wherever_they_stand(env, tmp_path):
    PPMO("MlpPolicy", env, **SMALL).save(tmp_path / "model.zip")
    with pytest.raises(ValueError, match="`n_instances` cannot change from 16 to 3"):
        PPMO.load(tmp_path / "model.zip", env, "cpu", {"n_instances": 3})
    assert PPMO.load(tmp_path / "model.zip", env, "cpu", {"n_learners": 2}).n_learners == 2


def test_arguments_of_other_kinds_are_named(env):
    for arguments, message in (
        (dict(policy_kwargs=3), "`policy_kwargs` must be a dict"),
        (dict(rollout_buffer_class=3), "`rollout_buffer_class` must be a class"),
        (dict(inner_loop=[1]), "unknown `inner_loop`"),
    ):
        with pytest.raises(ValueError, match=message):
            PPMO("MlpPolicy", env, **{**SMALL, **arguments})
