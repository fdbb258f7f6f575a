import copy

import pytest
import torch as th

from sb3_distill import SyntheticDataset
from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.scores.distillation import DistillationScore, TaughtScore, shuffled

SET = "NDCartPole1D-v0/wide"
NETWORK = PolicyArchitecture((64, 64))


def test_a_network_is_scored_alike_alone_and_among_others():
    evaluator = DistillationScore(SET)
    together = evaluator.score(NETWORK, [3, 4, 5])
    assert together.per_seed[1] == pytest.approx(evaluator.score(NETWORK, [4]).per_seed[0], rel=1e-5)
    assert len(set(together.per_seed)) == 3
    assert together.env_steps == 0


def test_more_steps_come_further_and_wide_networks_faster():
    evaluator = DistillationScore(SET)
    assert evaluator.score(NETWORK, [0], 30).mean < evaluator.score(NETWORK, [0], 300).mean < 0
    assert evaluator.score(PolicyArchitecture((8, 8)), [0]).mean < evaluator.score(PolicyArchitecture((128, 128)), [0]).mean


def test_the_learning_rate_of_an_architecture_counts():
    evaluator = DistillationScore(SET)
    fast = PolicyArchitecture((64, 64), learning_rate=3e-3)
    assert evaluator.score(fast, [0]) != evaluator.score(NETWORK, [0])
    assert DistillationScore(SET, learning_rate=3e-3).score(NETWORK, [0]).per_seed == evaluator.score(fast, [0]).per_seed


def test_a_network_that_diverges_comes_last():
    dataset = SyntheticDataset.load(SET)
    with th.no_grad():
        dataset.labels.mul_(1e30)
    assert DistillationScore(dataset).score(NETWORK, [0]).mean <= -1 + 1e-3


def test_one_instance_has_a_score():
    dataset = copy.deepcopy(SyntheticDataset.load(SET))
    dataset.labels = th.nn.Parameter(dataset.labels[:1].detach())
    dataset.observations = th.nn.Parameter(dataset.observations[:1].detach())
    score = DistillationScore(dataset).score(NETWORK, [0]).mean
    assert -2 < score < 0


def test_taught_networks_play():
    score = TaughtScore(SET, n_episodes=2).score(NETWORK, range(3))
    assert score.per_seed == (500.0, 500.0, 500.0)


def test_a_step_size_beyond_all_bounds_scores_last():
    wild = PolicyArchitecture((16,), "relu", learning_rate=1e25)
    assert DistillationScore(SET).score(wild, [0, 1]).per_seed == (-float("inf"), -float("inf"))


def test_no_label_of_a_small_set_stays_where_it_was():
    for seed in range(4):
        dataset, control = SyntheticDataset.load("NDCartPole1D-v0"), shuffled("NDCartPole1D-v0", seed)
        assert (dataset.labels != control.labels).any(dim=1).all()


def test_shuffled_labels_are_the_same_labels():
    dataset, control = SyntheticDataset.load(SET), shuffled(SET)
    assert th.equal(dataset.labels.sort(dim=0).values, control.labels.sort(dim=0).values)
    assert not th.equal(dataset.labels, control.labels)
    assert DistillationScore(dataset).describe()["set"] != DistillationScore("NDCartPole1D-v0").describe()["set"]


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="has an encoder"):
        DistillationScore("MsPacmanNoFrameskip-v4/l3")
    with pytest.raises(ValueError, match="`n_steps`"):
        DistillationScore(SET, n_steps=0)
    with pytest.raises(ValueError, match="positive rate"):
        DistillationScore(SET, learning_rate=0)
    with pytest.raises(ValueError, match="`seeds` is empty"):
        DistillationScore(SET).score(NETWORK, [])
    with pytest.raises(ValueError, match="needs images"):
        DistillationScore(SET).score(PolicyArchitecture((8,), convolutions=[(8, 3, 1)]), [0])
