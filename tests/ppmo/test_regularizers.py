"""Regularisers as options: what each does to a run, and that a run with them goes on as it would have."""

import csv

import numpy as np
import pytest
import torch as th
from helpers import ImageEnv, ReachEnv, small_env
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_distill import PPMO, DAgger, Expert
from sb3_distill.cli import program as cli
from sb3_distill.outer_loop.regularization import Regularizers

SMALL = dict(n_instances=6, n_learners=8, n_steps=16, batch_size=128, n_epochs=1, seed=0, device="cpu")
ROLLOUT = 8 * 16
MIXTURE = [{"width": 8, "depth": [1, 2]}, {"init": "xavier_normal", "width": 16}, {"init": "pytorch", "layer_norm": True}]
SIZES = {
    "cvar": 0.3, "group_dro": 0.5, "dropout": 0.4, "init_noise": 0.3, "inner_noise": 0.5, "step_noise": 1.0, "agreement": 1.0
}  # fmt: skip


def model_with(env=None, **arguments):
    arguments = {**SMALL, "learner_distribution": MIXTURE, **arguments}
    return PPMO("MlpPolicy", small_env() if env is None else env, **arguments)


def reach_env():
    env = DummyVecEnv([ReachEnv for _ in range(8)])
    env.seed(0)
    return env


def parameters(model):
    return [value.clone() for value in model.dataset.state_dict().values()]


def equal(one, other):
    return all(a.equal(b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("inner_loop", ["sgd", "ridge", "carry"])
@pytest.mark.parametrize("make_env", [small_env, reach_env])
def test_each_regulariser_changes_what_is_learned(inner_loop, make_env):
    plain = parameters(model_with(make_env(), inner_loop=inner_loop).learn(2 * ROLLOUT))
    off = dict.fromkeys(SIZES, 0.0) | {"cvar": 1.0}
    assert equal(parameters(model_with(make_env(), inner_loop=inner_loop, regularizers=off).learn(2 * ROLLOUT)), plain)
    for name, size in SIZES.items():
        if name == "step_noise" and inner_loop != "sgd":
            continue
        model = model_with(make_env(), inner_loop=inner_loop, regularizers={name: size}).learn(2 * ROLLOUT)
        assert model.dataset.is_finite()
        assert not equal(parameters(model), plain), name


@pytest.mark.parametrize("sizes", [{"group_dro": 0.5}, {name: SIZES[name] for name in SIZES if name != "group_dro"}])
def test_a_loaded_model_goes_on_as_it_would_have(sizes, tmp_path):
    model = model_with(regularizers=sizes, n_inner_steps=2).learn(3 * ROLLOUT)
    model.save(tmp_path / "model.zip")
    loaded = PPMO.load(tmp_path / "model.zip", small_env())
    assert loaded.regularizers == sizes
    assert loaded.distiller.regularization.log_weights.equal(model.distiller.regularization.log_weights)
    model.set_env(loaded.env)  # of the same seed
    model._last_obs = None
    outcomes = []
    for one in (model, loaded):
        one.set_random_seed(0)
        one.learn(2 * ROLLOUT, reset_num_timesteps=False)
        outcomes.append(parameters(one))
    assert equal(*outcomes)


def test_a_model_may_be_loaded_with_others(tmp_path):
    model_with(regularizers={"group_dro": 0.5}).learn(ROLLOUT).save(tmp_path / "model.zip")
    arguments = dict(regularizers={"group_dro": 0.1}, learner_distribution=[*MIXTURE, {}])
    loaded = PPMO.load(tmp_path / "model.zip", small_env(), **arguments).learn(ROLLOUT, reset_num_timesteps=False)
    assert loaded.distiller.regularization.log_weights.shape == (4,)
    PPMO.load(tmp_path / "model.zip", small_env(), regularizers=None).learn(ROLLOUT, reset_num_timesteps=False)


class ChangeAdvantages(BaseCallback):
    """Raises the advantages of all learners but the one with the smallest; each has one environment."""

    def _on_step(self):
        return True

    def _on_rollout_end(self):
        buffer = self.model.rollout_buffer
        others = np.arange(buffer.n_envs) != buffer.advantages.mean(axis=0).argmin()
        buffer.advantages[:, others] = 1 + np.abs(buffer.advantages[:, others])


@pytest.mark.parametrize("sizes, is_worst_alone", [({"cvar": 1 / 8}, True), ({"cvar": 2 / 8}, False), (None, False)])
def test_the_worst_learner_alone_makes_the_gradient(sizes, is_worst_alone):
    arguments = dict(regularizers=sizes, normalize_advantage=False)
    outcomes = [parameters(model_with(**arguments).learn(ROLLOUT, callback)) for callback in (None, ChangeAdvantages())]
    assert equal(*outcomes) == is_worst_alone


def test_components_whose_learners_do_badly_gain_weight():
    model = model_with(regularizers={"group_dro": 0.1})
    for _ in range(30):
        learners = model.distiller.draw()
        scores = th.tensor([{0: 1.0, 1: -1.0, 2: 0.0}[component] for component in learners.components])
        weights = model.distiller.regularization.weigh(learners, scores)
    assert weights.mean() == pytest.approx(1)
    figures = model.distiller.regularization.figures()
    assert figures["component_1_weight"] > 1.5 > figures["component_2_weight"] > figures["component_0_weight"]


def test_learners_tell_their_components():
    drawn = model_with().distiller.draw()
    widths = [group.network.template.head.in_features for group in drawn.groups for _ in range(group.n_learners)]
    expected = {0: 8, 1: 16, 2: 64}
    assert widths == [expected[component] for component in drawn.components]


def test_a_learner_acts_and_is_taught_with_the_same_units():
    model = model_with(regularizers={"dropout": 0.5, "init_noise": 0.1}, learner_distribution=None)
    drawn = model.distiller.draw()
    taught = [model.distiller.teach(drawn).groups[0].params for _ in range(2)]
    assert taught[0]["latent.0.weight"].shape == (8, 32, 8)
    assert all(value.equal(taught[1][name]) for name, value in taught[0].items())


@pytest.mark.parametrize(
    "inner_loop, name", [("sgd", "log_inner_learning_rates"), ("ridge", "log_ridge"), ("carry", "carry_logit")]
)
def test_learned_numbers_of_the_inner_loop_vary_between_draws_and_not_within_one(inner_loop, name):
    model = model_with(inner_loop=inner_loop, regularizers={"inner_noise": 0.5}, learner_distribution=None)
    distiller, before = model.distiller, model.dataset.learned[name].detach().clone()
    values = []
    for _ in range(300):
        varied = distiller.regularization.variation(distiller.draw())
        values.append(varied.learned(model.dataset.learned, model.dataset.inner_loop.bounds())[name].detach())
    spread = th.stack(values).std().item() / (2 if name == "carry_logit" else 1)
    assert spread == pytest.approx(0.5, rel=0.2)
    assert model.dataset.learned[name].equal(before)
    drawn = distiller.draw()
    one, two = (distiller.teach(drawn).groups[0].params["head.weight"] for _ in range(2))
    assert one.equal(two)
    assert not one.equal(model.dataset.teach(drawn).groups[0].params["head.weight"])


def test_numbers_that_vary_stay_within_their_bounds():
    model = model_with(inner_loop="carry", regularizers={"inner_noise": 50.0})
    bounds = model.dataset.inner_loop.bounds()
    for _ in range(10):
        varied = model.distiller.regularization.variation(model.distiller.draw())
        for name, value in varied.learned(model.dataset.learned, bounds).items():
            assert bounds[name][0] - 1e-6 <= value.item() <= bounds[name][1] + 1e-6


def test_learners_take_another_number_of_steps():
    model = model_with(regularizers={"step_noise": 0.5}, n_inner_steps=3, inner_rate_per_role=True, inner_rate_relative=True)
    numbers = {model.distiller.regularization.variation(model.distiller.draw()).loop.n_steps for _ in range(100)}
    assert {2, 3, 4} <= numbers
    assert model.dataset.inner_loop.n_steps == 3
    loop = model.distiller.regularization.variation(model.distiller.draw()).loop
    assert (loop.per_role, loop.relative) == (True, True)


def test_learners_that_are_penalised_for_it_disagree_less():
    def spread(coefficient):
        sizes = {"agreement": coefficient}
        model = model_with(regularizers=sizes, learner_distribution="xe", n_epochs=4, batch_size=32, learning_rate=0.02)
        model.learn(8 * ROLLOUT)
        states = th.as_tensor(model.rollout_buffer.observations).reshape(-1, 8)
        with th.no_grad():
            taught = model.distiller.teach(model.distiller.sampler.sample(64, th.Generator().manual_seed(1)))
            probabilities = taught(states.expand(64, -1, -1)).softmax(dim=-1)
        return probabilities.std(dim=0).mean().item()

    assert spread(30.0) < 0.7 * spread(1e-9)


def test_figures_are_logged(log_to_csv, tmp_path):
    def logged(sizes):
        model = model_with(regularizers=sizes)
        log_to_csv(model, tmp_path)
        model.learn(2 * ROLLOUT)  # figures of the first updates come with the second rollout
        *_, last = csv.DictReader((tmp_path / "progress.csv").read_text().splitlines())
        return {name.removeprefix("train/"): float(value or "nan") for name, value in last.items()}

    row = logged({"group_dro": 0.5, "step_noise": 0.5, "agreement": 0.1})
    for name in ("component_0_weight", "component_2_weight", "drawn_inner_steps", "disagreement"):
        assert row[name] > 0, name
    assert logged({"cvar": 0.1})["cvar_score"] < logged({"cvar": 0.9})["cvar_score"]  # of the same first rollout


@pytest.mark.parametrize("name", ["cvar", "dropout", "init_noise", "inner_noise", "agreement"])
def test_behind_an_encoder(name):
    arguments = dict(SMALL, n_learners=2, regularizers={name: SIZES[name]}, learner_distribution=None)
    flat = model_with(**{**arguments, "encoder_layers": 1}).learn(ROLLOUT)
    env = DummyVecEnv([ImageEnv for _ in range(2)])
    images = PPMO("CnnPolicy", env, **{**arguments, "encoder_layers": 3, "n_steps": 8, "batch_size": 16}).learn(16)
    assert flat.dataset.is_finite()
    assert images.dataset.is_finite()


@pytest.mark.parametrize("sizes", [{name: SIZES[name]} for name in SIZES])
def test_an_agent_is_distilled_with_regularisers(sizes):
    agent = PPO("MlpPolicy", small_env(), n_steps=8, batch_size=8, device="cpu", seed=0)

    def cloned(regularizers):
        expert = Expert(agent.policy)
        arguments = dict(
            n_instances=6, learner_distribution=MIXTURE, seed=0, device="cpu", n_steps=8, n_updates=4, batch_size=64
        )
        return DAgger("MlpPolicy", small_env(), expert, regularizers=regularizers, **arguments).learn(2 * 64)

    assert not equal(parameters(cloned(sizes)), parameters(cloned(None)))


@pytest.mark.parametrize(
    "sizes, message",
    [
        ("cvar", "`regularizers` must be a dict of sizes by name .cvar, group_dro, dropout"),
        ({"drop_out": 0.1}, "unknown 'drop_out' in `regularizers`; known are cvar, group_dro"),
        ({"dropout": "1e-1"}, "`dropout` in `regularizers` must be a finite number, got '1e-1'; YAML takes 1e-3 for text"),
        ({"agreement": True}, "`agreement` in `regularizers` must be a finite number, got True"),
        ({"init_noise": float("nan")}, "`init_noise` in `regularizers` must be a finite number, got nan"),
        ({"inner_noise": -0.1}, "`inner_noise` in `regularizers` must be at least 0, got -0.1"),
        ({"dropout": 1.0}, "`dropout` in `regularizers` must be at least 0 and below 1, got 1.0"),
        ({"cvar": 0.0}, r"`cvar` in `regularizers` is the share of the worst learners, in \(0, 1\], got 0.0"),
        ({"cvar": 1.5}, r"`cvar` in `regularizers` is the share of the worst learners, in \(0, 1\], got 1.5"),
        ({"cvar": 0.5, "group_dro": 0.1}, "`cvar` and `group_dro` in `regularizers` both weigh the learners"),
    ],
)
def test_wrong_sizes_are_named(sizes, message):
    with pytest.raises(ValueError, match=message):
        model_with(regularizers=sizes)


@pytest.mark.parametrize(
    "sizes, arguments, message",
    [
        ({"group_dro": 0.1}, dict(learner_distribution=None), "weighs the components of a mixture, and .* has one"),
        ({"step_noise": 0.1}, dict(inner_loop="ridge"), "`step_noise` in `regularizers` is for inner_loop='sgd', this one is"),
        ({"dropout": 0.1}, dict(learner_distribution=None, encoder_layers=3), "the encoder holds all of their layers"),
        (
            {"dropout": 0.1},
            dict(learner_distribution=None, policy_kwargs=dict(net_arch=[])),
            "`dropout` in `regularizers` leaves",
        ),
    ],
)
def test_a_regulariser_that_does_not_fit_is_refused(sizes, arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        model_with(regularizers=sizes, **arguments)


def test_the_zoo_takes_them_from_yaml(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("rl_zoo3.train", reason="needs rl-zoo", exc_type=ImportError)
    common = "policy: MlpPolicy, n_envs: 4, n_timesteps: 64, n_steps: 8, learner_distribution: table1"
    (tmp_path / "own.yml").write_text(f"NDCartPole1D-v0: {{{common}, regularizers: {{group_dro: 0.1, dropout: 0.2}}}}")
    assert cli.main(["train", "--env", "NDCartPole1D-v0", "-conf", "own.yml", "--eval-freq", "-1", "-f", "logs"]) == 0
    model = PPMO.load(next(tmp_path.rglob("NDCartPole1D-v0.zip")))
    assert model.regularizers == {"group_dro": 0.1, "dropout": 0.2}
    assert model.distiller.regularization.log_weights.any()


@pytest.mark.parametrize("name", ["dropout", "agreement"])
def test_what_does_not_go_with_state_dependent_exploration(name):
    with pytest.raises(ValueError, match=f"`{name}` in `regularizers` does not go with gSDE"):
        model_with(reach_env(), learner_distribution=None, use_sde=True, regularizers={name: 0.1})


def test_sizes_are_settings():
    given = {"cvar": np.float32(0.5), "dropout": np.int64(0)}
    model = model_with(regularizers=given)
    assert model.regularizers == model.settings.regularizers == {"cvar": 0.5, "dropout": 0}
    assert {type(size) for size in model.regularizers.values()} == {float, int}
    with pytest.raises(AttributeError, match="`regularizers` shapes the dataset"):
        model.regularizers = {}
    assert Regularizers.parse(None) == Regularizers() == Regularizers.parse({})
