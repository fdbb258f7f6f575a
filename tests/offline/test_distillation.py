"""Recorded play is distilled without an environment."""

import json

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers import simplex_dataset
from recordings import DICT, recording

from sb3_distill import OfflineDistillation, Recording, SyntheticDataset, evaluate_learners, record
from sb3_distill.cli import program as cli
from sb3_distill.errors import ArgumentError, DatasetError, MisfitError, RecordingError
from sb3_distill.offline.advantages import ValueFit, discounted_returns, generalised_advantages, weights_of

SMALL = dict(n_learners=2, batch_size=8, n_value_updates=20, policy_kwargs=dict(net_arch=[8]), seed=0)


@pytest.fixture(scope="module")
def mixed():
    """A third of random actions, a third of an agent that is disturbed, a third of an agent."""
    parts = [("random", 0.0), ("CartPole-v1", 0.6), ("CartPole-v1", 0.0)]
    return Recording.concatenate(
        [record(source, "CartPole-v1", n_steps=3000, noise=noise, seed=i) for i, (source, noise) in enumerate(parts)]
    )


@pytest.mark.parametrize("combine", ["probs", "logits"])
def test_learners_may_be_judged_together(mixed, combine):
    run = OfflineDistillation(mixed, weighting="none", combine=combine, **SMALL).learn(2)
    assert run.dataset.is_finite()
    with pytest.raises(ArgumentError, match="`combine` makes one loss for all learners"):
        OfflineDistillation(mixed, combine=combine, regularizers={"cvar": 0.5}, **SMALL)


@pytest.mark.slow
def test_learners_are_better_than_what_they_were_made_of(mixed):
    returns = {}
    for weighting in ("none", "advantage"):
        run = OfflineDistillation(mixed, n_instances=4, batch_size=64, weighting=weighting, seed=0).learn(600)
        returns[weighting] = evaluate_learners(run.dataset, 20, 5, deterministic=True).returns.mean(axis=1)
    errors = {name: values.std() / np.sqrt(len(values)) for name, values in returns.items()}
    assert returns["advantage"].mean() - 3 * errors["advantage"] > 4 * mixed.behaviour_mean
    gain = returns["advantage"].mean() - returns["none"].mean()
    assert gain > 3 * np.hypot(errors["none"], errors["advantage"])
    parts = run.weights.reshape(3, -1).mean(axis=1)
    assert parts[0] < parts[1] < parts[2]


def test_what_travels_in_the_file(tmp_path, mixed):
    run = OfflineDistillation(mixed, weighting="none", **SMALL).learn(3)
    run.dataset.save(tmp_path / "set.safetensors")
    info = SyntheticDataset.load(tmp_path / "set.safetensors").info
    assert info.env_id == "CartPole-v1" and info.loss == "offline" and info.timesteps == 0
    assert info.data == {"n_steps": 9000, "n_episodes": mixed.n_episodes, "updates": 3}
    np.testing.assert_allclose(info.normalization.mean, mixed.observations.mean(axis=0), rtol=1e-4)
    assert evaluate_learners(tmp_path / "set.safetensors", 2, 2).returns.shape == (2, 2)
    assert OfflineDistillation(mixed, normalize=False, weighting="none", **SMALL).dataset.info.normalization is None


@pytest.mark.parametrize("inner_loop", ["sgd", "ridge", "carry"])
@pytest.mark.parametrize("action_space", [spaces.Discrete(2), spaces.Box(-1, 1, (2,)), spaces.MultiDiscrete([2, 3])])
def test_the_loss_falls(inner_loop, action_space):
    play = recording(action_space=action_space)
    run = OfflineDistillation(play, inner_loop=inner_loop, n_instances=6, learning_rate=0.01, weighting="none", **SMALL)
    losses = []

    def note(run):
        drawn = run.distiller.draw()
        losses.append(run.loss_of(run.distiller.teach(drawn), drawn)[1].item())

    run.learn(60, callback=note)
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 0.05


@pytest.mark.parametrize("space", [DICT, spaces.Discrete(5), spaces.Box(0, 255, (1, 36, 36), np.uint8)])
def test_other_observations(space):
    policy = {"Dict": "MultiInputPolicy", "Box": "CnnPolicy"}.get(type(space).__name__, "MlpPolicy")
    run = OfflineDistillation(
        recording(space), policy, n_instances=3, n_learners=2, batch_size=4, n_value_updates=9, seed=0
    ).learn(2)
    assert run.dataset.is_finite()
    assert run.dataset.info.policy == policy


def test_the_same_seed_learns_the_same(mixed):
    def labels(seed):
        return OfflineDistillation(mixed, **{**SMALL, "seed": seed}).learn(5).dataset.labels

    before = th.get_rng_state()
    assert th.equal(labels(1), labels(1)) and not th.equal(labels(1), labels(2))
    assert th.equal(before, th.get_rng_state())


def test_a_run_that_was_cut_off_goes_on(tmp_path, mixed):
    kwargs = dict(weighting="advantage", **SMALL)
    whole = OfflineDistillation(mixed, **kwargs).learn(20)
    OfflineDistillation(mixed, **kwargs).learn(20, checkpoint=tmp_path / "run.zip", callback=lambda run: run.n_updates < 10)
    mixed.save(tmp_path / "play.safetensors")
    rest = OfflineDistillation.load(tmp_path / "run.zip", tmp_path / "play.safetensors").learn(20, reset_num_updates=False)
    np.testing.assert_array_equal(rest.weights, whole.weights)
    assert rest.n_updates == 20 and rest.dataset.info.data["updates"] == 20
    assert th.allclose(rest.dataset.labels, whole.dataset.labels, atol=1e-5)


def test_a_set_goes_on(mixed):
    first = OfflineDistillation(mixed, weighting="none", n_instances=5, **SMALL).learn(2).dataset
    second = OfflineDistillation(mixed, weighting="none", initial_dataset=first, **SMALL)
    assert second.dataset.n_instances == 5 and second.dataset is not first
    assert second.learn(1).dataset.info.data["updates"] == 3
    with pytest.raises(MisfitError, match=r"for observation space Box\(8,\), the recording has Box\(4,\)"):
        OfflineDistillation(mixed, initial_dataset=simplex_dataset(2, 10.0), **SMALL)


@pytest.mark.parametrize("inner_loop", ["sgd", "carry"])
def test_first_layers_are_trained_and_travel_with_the_set(tmp_path, mixed, inner_loop):
    arguments = dict(encoder_layers=1, inner_loop=inner_loop, **SMALL)
    run = OfflineDistillation(mixed, **arguments)
    start = [value.detach().clone() for value in run.dataset.encoder.parameters()]
    run.learn(20)
    assert all((value != old).any() for value, old in zip(run.dataset.encoder.parameters(), start, strict=True))
    run.save(tmp_path / "run.zip")
    again = OfflineDistillation.load(tmp_path / "run.zip", mixed)
    assert again.dataset.encoder_layers == 1
    run.dataset.save(tmp_path / "set.safetensors")
    found = evaluate_learners(tmp_path / "set.safetensors", 3, 2)
    assert (found.returns == evaluate_learners(again.dataset, 3, 2).returns).all()


def test_it_may_start_at_recorded_observations():
    play = recording()
    run = OfflineDistillation(play, dataset_init="observations", normalize=False, weighting="none", n_instances=4, **SMALL)
    distances = th.cdist(run.dataset.observation_parameters()[0], th.tensor(play.observations).float())
    assert distances.min(dim=1).values.max() < 1e-6


def test_advantages_of_a_short_play():
    columns = recording().columns  # rewards 0 1 | 2 3 4 5, the second episode is not seen to its end
    values, last = np.array([1.0, 2, 3, 4, 5, 6]), np.array([100.0, 7.0])
    one_step = generalised_advantages(columns, values, last, 0.5, 0.0)
    np.testing.assert_allclose(one_step, [0, -1, 2 + 2 - 3, 3 + 2.5 - 4, 4 + 3 - 5, 5 + 3.5 - 6])
    whole = generalised_advantages(columns, values, last * 0, 0.5, 1.0)
    np.testing.assert_allclose(whole, discounted_returns(columns, 0.5) - values)


def test_weights():
    weights = weights_of(np.array([-1.0, 0.0, 1.0, 2.0]), 0.5, 100.0)
    assert weights.mean() == pytest.approx(1)
    assert (np.diff(weights) > 0).all()
    np.testing.assert_allclose(np.diff(np.log(weights)), 2 / np.std([-1, 0, 1, 2]))
    assert weights_of(np.zeros(3), 1.0, 20.0).tolist() == [1, 1, 1]
    advantages = np.random.default_rng(0).standard_normal(1000) ** 3
    cut = weights_of(advantages, 0.1, 20.0)
    assert cut.max() == pytest.approx(20, rel=1e-6)
    assert cut.mean() == pytest.approx(1)
    assert np.isfinite(weights_of(np.append(np.zeros(99), 1e6), 1e-3, 200.0)).all()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(weighting="returns"), "`weighting` must be one of advantage, none, got 'returns'"),
        (dict(temperature=0.0), "`temperature` must be above 0 and finite, got 0"),
        (dict(largest_weight=float("nan")), "`largest_weight` must be above 1 and finite, got nan"),
        (dict(gamma=1.1), r"`gamma` must be in \[0, 1\], got 1.1"),
        (dict(gae_lambda=-0.1), r"`gae_lambda` must be in \[0, 1\], got -0.1"),
        (dict(expectile=1.0), "`expectile` must be between 0 and 1, got 1.0"),
        (dict(batch_size=0), "`batch_size` must be a whole number from 1, got 0"),
        (dict(policy_kwargs=dict(use_sde=True)), "`use_sde` is for exploration"),
        (dict(policy="Mlp"), "unknown `policy` 'Mlp'"),
        (dict(policy_kwargs=3), "`policy_kwargs` must be a dict"),
        (dict(temperature="a"), "`temperature` must be a number, got 'a'"),
        (dict(gamma=None), "`gamma` must be a number, got None"),
        (dict(expectile="a"), "`expectile` must be a number, got 'a'"),
    ],
)
def test_arguments_that_do_not_fit(arguments, message):
    play = recording(action_space=spaces.Box(-1, 1, (2,)))
    with pytest.raises(ArgumentError, match=message):
        OfflineDistillation(play, **{**SMALL, **arguments})


def test_steps_are_drawn_as_often_as_their_weights_say():
    run = OfflineDistillation(recording(), **SMALL)
    counts = np.bincount(run.draw_rows(20_000).numpy(), minlength=6) / 20_000
    np.testing.assert_allclose(counts, run.weights / 6, atol=0.02)


def test_files_that_are_no_recordings(tmp_path):
    simplex_dataset(2, 10.0).save(tmp_path / "set.safetensors")
    with pytest.raises(RecordingError, match="a safetensors file, but a dataset of it, not a recording"):
        OfflineDistillation(tmp_path / "set.safetensors")
    (tmp_path / "run.zip").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match="no checkpoint"):
        OfflineDistillation.load(tmp_path / "run.zip", recording())


def test_the_fit_checks_itself():
    assert ValueFit().check() is None


def test_regularisers_are_understood(mixed):
    run = OfflineDistillation(mixed, weighting="none", regularizers={"cvar": 0.5, "agreement": 0.1}, **SMALL).learn(2)
    assert run.dataset.is_finite()
    assert "cvar_score" in run.distiller.regularization.figures()


def test_the_command(tmp_path, monkeypatch, capsys, mixed):
    monkeypatch.chdir(tmp_path)
    mixed.save("play.safetensors")
    command = ["distil", "--data", "play.safetensors", "-o", "set.safetensors", "--updates", "3", "--n-instances", "5"]
    fast = ["-params", "batch_size:8", "n_value_updates:9"]
    assert cli.main([*command, "--json", *fast, "weighting:none"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {
        "dataset": "set.safetensors", "k": 5, "updates": 3, "steps": 9000, "behaviour_mean": mixed.behaviour_mean
    }  # fmt: skip
    assert cli.main(["evaluate", "set.safetensors", "--learners", "2", "--episodes", "2", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"sampled", "greedy"}
    assert cli.main([*command, "--checkpoint", "run.zip", *fast]) == 0
    assert cli.main([*command[:-4], "--updates", "5", "--checkpoint", "run.zip", "--json"]) == 0
    assert '"updates": 5' in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--classes", "3"], "--classes is for labelled data"),
        (["-params", "seed:1"], "-params cannot say seed"),
        (["-params", "weights:none"], "did you mean 'weighting'"),
        (["-o", "set.npz"], "a dataset file must be called *.safetensors"),
    ],
)
def test_mistakes_are_told_in_a_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    recording().save("play.safetensors")
    assert cli.main(["distil", "--data", "play.safetensors", "-o", "set.safetensors", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and "\n" not in error.strip()


@pytest.mark.parametrize(
    "data, got",
    [
        (None, "got None: `record` makes"),
        (([0.0], [1]), "got an object of the type tuple: .*Recording.from_arrays one of arrays"),
        ([recording(), recording()], "got an object of the type list: Recording.concatenate makes one of several"),
    ],
    ids=["None", "arrays", "several"],
)
def test_what_is_no_recording_is_named(data, got):
    with pytest.raises(ValueError, match=f"`data` must be a Recording or the path of one, {got}"):
        OfflineDistillation(data)


def test_names_that_are_no_paths_are_told_what_makes_a_recording():
    with pytest.raises(FileNotFoundError, match="there is no recording CartPole-v1: `record` makes one"):
        OfflineDistillation("CartPole-v1")
