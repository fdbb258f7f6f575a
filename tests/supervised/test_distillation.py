"""Labelled data become a batch that teaches fresh networks."""

import numpy as np
import pytest
import torch as th
from torch import nn

from sb3_distill import DistilledEnsemble, DistilledPolicy, OfflineDistillation, evaluate_learners, record
from sb3_distill.errors import ArgumentError, DatasetError, UnsupportedError
from sb3_distill.supervised import SupervisedDistillation, evaluate_supervised, losses, teach_module
from sb3_distill.supervised.augment import shifts
from sb3_distill.supervised.modules.architectures import LeNet


class Custom(nn.Module):
    """Decides in its code what it does; its last layer is not the last that was made."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(64, 4)
        self.first = nn.Linear(5, 64)

    def forward(self, x):
        return self.last(th.relu(self.first(x)) + 0.0)


def sequential():
    return nn.Sequential(nn.Linear(5, 64), nn.Tanh(), nn.Linear(64, 4))


@pytest.mark.parametrize("loop", ["sgd", "ridge", "carry"])
@pytest.mark.parametrize("module", [None, sequential, Custom])
@pytest.mark.filterwarnings("ignore:labels are carried through chains")
def test_fresh_learners_predict(blobs, loop, module, tmp_path):
    data, test = blobs
    run = SupervisedDistillation(data, module, inner_loop=loop, n_instances=8, seed=0).learn(200)
    untaught = evaluate_supervised(run.dataset, test, 10, module=module, teach=False)
    taught = run.evaluate(test, 10)
    assert untaught.mean < 0.6
    assert taught.mean > 0.85
    assert taught.ensemble_score >= taught.scores.min()
    assert run.dataset.info.data["updates"] == 200
    assert run.dataset.n_instances == 8
    run.dataset.save(tmp_path / "set.safetensors")
    again = evaluate_supervised(tmp_path / "set.safetensors", test, 10, module=module)
    assert np.allclose(again.scores, taught.scores)


def test_a_policy_of_sb3_classifies(blobs):
    data, (inputs, targets) = blobs
    run = SupervisedDistillation(data, seed=0).learn(150)
    policy = DistilledPolicy.from_dataset(run.dataset, seed=3)
    predicted, _ = policy.predict(inputs.astype(np.float32), deterministic=True)
    assert (predicted == targets).mean() > 0.9


def test_a_module_is_taught_in_place(blobs):
    data, (inputs, targets) = blobs
    run = SupervisedDistillation(data, Custom, inner_loop="ridge", n_instances=8, seed=0).learn(200)
    module = Custom()
    assert teach_module(module, run.dataset) is module
    seen = th.as_tensor(run.dataset.info.normalization(inputs))
    assert (module(seen).argmax(1).numpy() == targets).mean() > 0.9
    with pytest.raises(DatasetError, match="the module has 3 outputs, the labels of the dataset have 4"):
        teach_module(nn.Sequential(nn.Linear(5, 3)), run.dataset)


def test_numbers_are_predicted_and_their_spread(blobs):
    rng = np.random.default_rng(0)
    inputs = rng.uniform(-2, 2, (600, 2))
    targets = np.stack([np.sin(inputs[:, 0]), inputs.sum(axis=1)], axis=1) + 0.1 * rng.standard_normal((600, 2))
    run = SupervisedDistillation((inputs[:400], targets[:400]), inner_loop="carry", n_instances=16, seed=0).learn(600)
    result = run.evaluate((inputs[400:], targets[400:]), 10)
    assert not result.is_classes
    assert result.mean > 0.9
    spread = run.dataset.log_std.exp().detach().numpy()
    assert ((spread > 0.05) & (spread < 0.6)).all()


def test_numbers_of_any_size_are_predicted(tmp_path):
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((400, 3))
    targets = np.stack([1000 * inputs[:, 0] + 5000, 1e-3 * inputs[:, 1]], axis=1)
    run = SupervisedDistillation((inputs[:300], targets[:300]), inner_loop="ridge", seed=0).learn(300)
    run.dataset.save(tmp_path / "set.safetensors")
    test = inputs[300:], targets[300:]
    assert evaluate_supervised(tmp_path / "set.safetensors", test, 5).mean > 0.9
    module = teach_module(nn.Sequential(nn.Linear(3, 64), nn.Tanh(), nn.Linear(64, 2)), tmp_path / "set.safetensors")
    with th.no_grad():
        predicted = module(th.as_tensor(run.dataset.info.normalization(test[0]))).numpy()
    assert (np.abs(predicted - test[1]).mean(axis=0) < 0.3 * targets.std(axis=0)).all()
    again = SupervisedDistillation((inputs[:300], targets[:300]), initial_dataset=run.dataset, seed=1).learn(1)
    assert again.evaluate(test, 5).mean > 0.85
    with pytest.raises(DatasetError, match="in units of its data, which no policy knows of"):
        DistilledPolicy.from_dataset(run.dataset)
    with pytest.raises(DatasetError, match="in units of its data"):
        DistilledEnsemble.from_dataset(run.dataset, n_members=2)
    run.dataset.info.data["target_std"] = ["x"]
    with pytest.raises(DatasetError, match="`target_std` in the metadata must be 2 finite numbers"):
        evaluate_supervised(run.dataset, test, 2)


def test_what_a_set_of_data_is_not_for(blobs):
    run = SupervisedDistillation(blobs[0], seed=0)
    assert "400 examples" in repr(run)
    assert "400 examples" in repr(run.dataset)
    with pytest.raises(ArgumentError, match="has no environment: evaluate_supervised scores it"):
        evaluate_learners(run.dataset, 2, 2)
    modules = SupervisedDistillation(blobs[0], Custom, seed=0)
    with pytest.raises(DatasetError, match="which are no policies: SupervisedEnsemble and teach_module make"):
        DistilledPolicy.from_dataset(modules.dataset)


def test_a_run_that_was_saved_goes_on_as_if_it_had_not_stopped(blobs, tmp_path):
    data, _ = blobs
    whole = SupervisedDistillation(data, seed=0).learn(20)
    half = SupervisedDistillation(data, seed=0)
    half.learn(20, callback=lambda run: run.n_updates < 10, checkpoint=tmp_path / "run")
    again = SupervisedDistillation.load(tmp_path / "run", data).learn(20, reset_num_updates=False)
    assert again.n_updates == 20
    assert again.dataset.info.data["updates"] == 20
    assert all(th.equal(a, b) for a, b in zip(whole.dataset.parameters(), again.dataset.parameters(), strict=True))
    with pytest.raises(ArgumentError, match="a run on 400 examples, the data have 100"):
        SupervisedDistillation.load(tmp_path / "run", (data[0][:100], data[1][:100]))
    (tmp_path / "broken.zip").write_bytes(b"none")
    with pytest.raises(DatasetError, match="is no checkpoint"):
        SupervisedDistillation.load(tmp_path / "broken.zip", data)


def test_arguments_that_no_file_holds_are_asked_for(blobs, tmp_path):
    data, _ = blobs
    run = SupervisedDistillation(data, learning_rate=lambda progress: 0.01 * progress, seed=0)
    run.learn(2, checkpoint=tmp_path / "run.zip")
    with pytest.raises(ArgumentError, match="does not hold `learning_rate`"):
        SupervisedDistillation.load(tmp_path / "run.zip", data)
    SupervisedDistillation.load(tmp_path / "run.zip", data, learning_rate=0.01)


def test_runs_of_another_kind_are_named(blobs, tmp_path):
    play = record("random", "CartPole-v1", n_steps=200, n_envs=2)
    OfflineDistillation(play, n_value_updates=1, seed=0).save(tmp_path / "play.zip")
    SupervisedDistillation(blobs[0], seed=0).save(tmp_path / "examples.zip")
    with pytest.raises(DatasetError, match="is a run of 'OfflineDistillation', not of SupervisedDistillation"):
        SupervisedDistillation.load(tmp_path / "play.zip", blobs[0])
    with pytest.raises(DatasetError, match="is a run of 'SupervisedDistillation', not of OfflineDistillation"):
        OfflineDistillation.load(tmp_path / "examples.zip", play)


def test_one_goes_on_from_a_set(blobs):
    data, test = blobs
    first = SupervisedDistillation(data, seed=0, inner_loop="ridge").learn(100)
    second = SupervisedDistillation(data, seed=1, initial_dataset=first.dataset).learn(1)
    assert second.dataset.inner_loop.name == "ridge"
    assert second.dataset.info.data["updates"] == 101
    assert second.evaluate(test, 5).mean > 0.85
    with pytest.raises(ArgumentError, match="the shape \\(5,\\), the data have \\(4,\\)"):
        SupervisedDistillation((data[0][:, :4], data[1]), initial_dataset=first.dataset)


def test_a_module_without_a_name_must_be_passed_again(blobs, tmp_path):
    data, test = blobs
    run = SupervisedDistillation(data, lambda: sequential(), seed=0).learn(2)
    run.dataset.save(tmp_path / "set.safetensors")
    assert run.dataset.info.module is None
    with pytest.raises(DatasetError, match="without a name to be found by: pass it as `module`"):
        evaluate_supervised(tmp_path / "set.safetensors", test, 2)
    assert len(evaluate_supervised(tmp_path / "set.safetensors", test, 2, module=sequential).scores) == 2


def test_a_file_makes_nothing_that_nobody_trusts(blobs, tmp_path):
    data, test = blobs
    run = SupervisedDistillation(data, sequential, seed=0).learn(2)
    for name in ("os:abort", f"{__name__}:sequential"):
        run.dataset.info.module = name
        run.dataset.save(tmp_path / "set.safetensors")
        with pytest.raises(DatasetError, match="pass it as `module`, or trust its module"):
            evaluate_supervised(tmp_path / "set.safetensors", test, 2)
    evaluate_supervised(tmp_path / "set.safetensors", test, 2, allow_imports=[__name__])
    run.dataset.info.module = "sb3_distill.supervised.modules.architectures:nothing"
    with pytest.raises(DatasetError, match="has no such function"):
        evaluate_supervised(run.dataset, test, 2)


def test_images_and_convolutions():
    rng = np.random.default_rng(0)
    targets = rng.integers(10, size=60)
    images = rng.random((60, 1, 28, 28)) + targets[:, None, None, None]
    run = SupervisedDistillation((images, targets), LeNet, inner_loop="ridge", n_learners=2, seed=0).learn(2)
    assert run.dataset.info.module == "sb3_distill.supervised.modules.architectures:LeNet"
    assert run.evaluate((images, targets), 2).scores.shape == (2,)
    assert evaluate_supervised(run.dataset, (images, targets), 2).scores.shape == (2,)  # found by its name


@pytest.mark.parametrize("combine", ["probs", "logits"])
def test_distilling_for_the_ensemble_lowers_its_loss(blobs, combine):
    data, test = blobs
    alone = SupervisedDistillation(data, seed=0, n_instances=6).learn(200).evaluate(test, 20)
    together = SupervisedDistillation(data, seed=0, n_instances=6, combine=combine).learn(200).evaluate(test, 20)
    assert together.ensemble_loss < 1.1 * alone.ensemble_loss
    assert together.ensemble_score > 0.9


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"combine": "vote"}, ArgumentError, "`combine` must be"),
        ({"combine": "probs", "regularizers": {"cvar": 0.5}}, ArgumentError, "leave out one"),
        ({"batch_size": 0}, ArgumentError, "`batch_size` must be a whole number from 1"),
        ({"n_learners": 1.5}, ArgumentError, "`n_learners` must be a whole number"),
        ({"dataset_init": "zero"}, ArgumentError, "`dataset_init` must be one of normal, data"),
        ({"module": sequential, "policy": "MlpPolicy"}, ArgumentError, "exclude each other"),
        ({"module": nn.Linear(5, 4)}, ArgumentError, "or its class, got the module Linear"),
        ({"augment": 3}, ArgumentError, "`augment` must be a function"),
        ({"module": 3}, ArgumentError, "must be a function that makes an nn.Module"),
        ({"module": lambda: nn.Linear(5, 4).weight}, UnsupportedError, "must make an nn.Module"),
        ({"module": lambda: nn.Linear(3, 4)}, UnsupportedError, "does not take inputs of the shape"),
        ({"module": lambda: nn.Sequential(nn.Linear(5, 4), nn.Softmax(1))}, UnsupportedError, "leave out a softmax"),
        ({"module": lambda: nn.Linear(5, 7)}, ArgumentError, "has 7 outputs"),
        ({"module": sequential, "learner_distribution": {"width": 8}}, ArgumentError, "draws layers of perceptrons"),
        ({"learning_rate": "linear_1"}, ArgumentError, "a schedule must be written"),
        ({"learning_rate": None}, ArgumentError, "a step size must be a number, a function or 'lin_<number>', got None"),
        ({"weight_decay": "a"}, ArgumentError, "`weight_decay` must be a number, got 'a'"),
        ({"max_grad_norm": -1}, ArgumentError, "`max_grad_norm` must be a number from 0, got -1"),
        ({"policy_kwargs": [64]}, ArgumentError, r"`policy_kwargs` must be a dict of arguments of the policy, got \[64\]"),
        ({"initial_dataset": 3}, ArgumentError, "a dataset must be a SyntheticDataset, a path, or the name"),
        ({"seed": 1.5}, ArgumentError, "`seed` must be None or a whole number"),
        ({"device": "toaster"}, ArgumentError, "`device` must be cpu, cuda, auto"),
        ({"device": "meta"}, ArgumentError, "`device` must be one that computes"),
    ],
)
def test_what_does_not_fit_is_refused(blobs, arguments, error, message):
    with pytest.raises(error, match=message):
        SupervisedDistillation(blobs[0], **arguments)


def test_one_learner_has_nothing_to_combine(blobs):
    with pytest.warns(UserWarning, match="n_learners=1 leaves nothing to combine"):
        SupervisedDistillation(blobs[0], n_learners=1, combine="probs", seed=0)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"n_updates": "a"}, "`n_updates` must be a whole number from 1"),
        ({"log_interval": 0}, "`log_interval` must be a whole number from 1, got 0"),
        ({"callback": 3}, "`callback` must be a function of the run, got 3"),
        ({"minutes": "a"}, "`minutes` must be a number, got 'a'"),
    ],
)
def test_arguments_of_learn_that_do_not_fit(blobs, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        SupervisedDistillation(blobs[0], seed=0).learn(**{"n_updates": 1, **arguments})


@pytest.mark.parametrize("module", [None, sequential])
@pytest.mark.parametrize("loop", ["sgd", "ridge", "carry"])
def test_first_layers_are_trained_and_travel_with_the_set(blobs, loop, module, tmp_path):
    data, test = blobs
    run = SupervisedDistillation(data, module, inner_loop=loop, encoder_layers=1, seed=0)
    start = [value.detach().clone() for value in run.dataset.encoder.parameters()]
    run.learn(60)
    assert all((value != old).any() for value, old in zip(run.dataset.encoder.parameters(), start, strict=True))
    run.dataset.save(tmp_path / "set.safetensors")
    found = evaluate_supervised(tmp_path / "set.safetensors", test, 10, module=module)
    assert (found.scores == run.evaluate(test, 10).scores).all()
    assert found.mean > evaluate_supervised(run.dataset, test, 10, module=module, teach=False).mean + 0.2
    if module is not None:
        taught = teach_module(module(), tmp_path / "set.safetensors")
        assert (next(taught.parameters()) == next(run.dataset.encoder.parameters())).all()
        seen = th.as_tensor(np.asarray(run.dataset.info.normalization(test[0].astype(np.float32))))
        accuracy = (taught(seen).argmax(dim=1).numpy() == test[1]).mean()
        assert found.scores.min() - 0.25 < accuracy


def test_a_run_with_an_encoder_goes_on(blobs, tmp_path):
    arguments = dict(encoder_layers=1, encoder_learning_rate=0.01, seed=0)
    whole = SupervisedDistillation(blobs[0], **arguments).learn(6)
    run = SupervisedDistillation(blobs[0], **arguments)
    run.learn(6, callback=lambda run: run.n_updates < 3)
    run.save(tmp_path / "run.zip")
    again = SupervisedDistillation.load(tmp_path / "run.zip", blobs[0]).learn(6, reset_num_updates=False)
    for one, other in zip(again.dataset.parameters(), whole.dataset.parameters(), strict=True):
        assert th.equal(one, other)
    state = {**again.distiller.optimizer.state_dict()}
    state["state"] = {**state["state"], 0: state["state"][1]}
    saved = {"data_size": len(again.data), "optimizer": state}
    with pytest.raises(DatasetError, match="the state of its optimiser is not that of its dataset"):
        again.restore(saved, "run.zip")
    more = SupervisedDistillation(blobs[0], initial_dataset=whole.dataset, seed=1).learn(1)
    assert more.dataset.encoder_layers == more.dataset.info.encoder_layers == 1
    with pytest.raises(ArgumentError, match="`initial_dataset` has 1 layers in its encoder, not encoder_layers=2"):
        SupervisedDistillation(blobs[0], initial_dataset=whole.dataset, encoder_layers=2)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"encoder_layers": 3}, "encoder_layers=3 are all layers of the learners: leave one to be taught"),
        ({"encoder_layers": 4}, "`encoder_layers` must be a whole number from 0 to 3"),
        ({"encoder_layers": "a"}, "`encoder_layers` must be a whole number from 0 to 3"),
        ({"encoder_layers": 1, "module": Custom}, "nothing in it can be cut"),
        ({"encoder_layers": 1, "combine": "probs"}, "an encoder does not go with it"),
        ({"encoder_layers": 1, "learner_distribution": "wide"}, "those that can be drawn start before its end"),
    ],
)
def test_encoders_that_there_are_not(blobs, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        SupervisedDistillation(blobs[0], **arguments)


def test_a_mixture_of_architectures(blobs):
    data, test = blobs
    run = SupervisedDistillation(data, learner_distribution="wide", inner_loop="carry", n_learners=8, seed=0).learn(100)
    assert run.evaluate(test, 10).mean > 0.8
    narrow = evaluate_supervised(run.dataset, test, 5, {"width": 16, "depth": 3, "activation": "relu"})
    assert narrow.mean > 0.8


def test_labels_of_other_data_are_refused(blobs):
    run = SupervisedDistillation(blobs[0], seed=0).learn(1)
    inputs, targets = blobs[1]
    with pytest.raises(ArgumentError, match="class 4 is out of range"):
        evaluate_supervised(run.dataset, (inputs, targets + 1), 2)
    with pytest.raises(ArgumentError, match="inputs of the shape"):
        evaluate_supervised(run.dataset, (inputs[:, :2], targets), 2)
    with pytest.raises(ArgumentError, match="`n_learners` must be"):
        evaluate_supervised(run.dataset, (inputs, targets), 0)


def test_gradients_match_finite_differences(blobs):
    """The derivative of the outer loss with respect to one label, through teaching, in double precision."""
    data, _ = blobs
    run = SupervisedDistillation(data, sequential, inner_loop="ridge", seed=0, n_learners=2)
    dataset = run.dataset.double()
    learners = run.distiller.draw()
    for group in learners.groups:
        for name, value in group.params.items():
            group.params[name] = value.double()
    inputs, targets = run.inputs[:50].double().expand(2, -1, -1), run.targets[:50].expand(2, -1)

    def loss():
        return losses.cross_entropy(dataset.teach(learners)(inputs), targets).mean()

    loss().backward()
    with th.no_grad():
        expected = dataset.labels.grad[1, 2].item()
        values = []
        for step in (1e-6, -1e-6):
            dataset.labels[1, 2] += step
            values.append(loss().item())
            dataset.labels[1, 2] -= step
    assert abs((values[0] - values[1]) / 2e-6 - expected) < 1e-6 * max(1, abs(expected))


def test_images_are_moved_and_nothing_else():
    images = th.arange(2 * 1 * 6 * 6, dtype=th.float32).view(2, 1, 6, 6)
    moved = shifts(1)(images.expand(2, 1, 6, 6), th.Generator().manual_seed(0))
    assert moved.shape == images.shape
    inside = {tuple(images[0, 0, 1 + i : 5 + i, 1 + j : 5 + j].flatten().tolist()) for i in (-1, 0, 1) for j in (-1, 0, 1)}
    assert tuple(moved[0, 0, 1:5, 1:5].flatten().tolist()) in inside
    with pytest.raises(ArgumentError, match="shifts are for images"):
        shifts(1)(th.zeros(3, 5), th.Generator())
    with pytest.raises(ArgumentError, match="`pixels` must be at least 1"):
        shifts(0)


def test_a_run_with_augmented_inputs(blobs):
    data, test = blobs
    noisy = SupervisedDistillation(data, augment=lambda x, generator: x + 0.1 * th.randn(x.shape, generator=generator), seed=0)
    assert noisy.learn(150).evaluate(test, 5).mean > 0.85
