"""Distilling for the ensemble: one prediction of all learners."""

import pytest
import torch as th
from gymnasium import spaces
from torch.nn import functional

from sb3_distill import PPMO, make_vec_env
from sb3_distill.errors import ArgumentError
from sb3_distill.outer_loop.combination import combined

OUTPUTS = 3 * th.randn(4, 7, 5, generator=th.Generator().manual_seed(0)).double()


def test_mean_probabilities_of_one_choice():
    result = combined(OUTPUTS, spaces.Discrete(5), "probs")
    assert th.allclose(result.softmax(-1), OUTPUTS.softmax(-1).mean(0))
    assert th.allclose(combined(OUTPUTS, spaces.Discrete(5), "logits"), OUTPUTS.mean(0))


def test_mean_probabilities_of_several_choices():
    result = combined(OUTPUTS, spaces.MultiDiscrete([2, 3]), "probs")
    for part, whole in zip(result.split([2, 3], -1), OUTPUTS.split([2, 3], -1), strict=True):
        assert th.allclose(part.softmax(-1), whole.softmax(-1).mean(0))
    bits = combined(OUTPUTS, spaces.MultiBinary(5), "probs")
    assert th.allclose(bits.sigmoid(), OUTPUTS.sigmoid().mean(0))


def test_means_of_numbers():
    box = spaces.Box(-1, 1, (5,))
    assert all(th.equal(combined(OUTPUTS, box, how), OUTPUTS.mean(0)) for how in ("probs", "logits"))


def test_gradients_match_finite_differences():
    outputs = OUTPUTS.clone().requires_grad_()
    for space in (spaces.Discrete(5), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(5)):
        assert th.autograd.gradcheck(lambda x, space=space: combined(x, space, "probs"), (outputs,))


def model(combine, n_learners, env_id="NDCartPole1D-v0", **kwargs):
    env = make_vec_env(env_id, 8, seed=0)
    return PPMO("MlpPolicy", env, n_learners=n_learners, combine=combine, n_steps=32, seed=0, **kwargs)


def test_one_learner_is_its_own_ensemble():
    alone = model(None, 1).learn(512)
    with pytest.warns(UserWarning, match="n_learners=1 leaves nothing to combine"):
        together = model("logits", 1)
    together.learn(512)
    assert all(th.equal(a, b) for a, b in zip(alone.dataset.parameters(), together.dataset.parameters(), strict=True))


@pytest.mark.parametrize("combine", ["probs", "logits"])
@pytest.mark.parametrize("env_id", ["NDCartPole1D-v0", "Pendulum-v1"])
def test_the_rollout_is_made_by_all_learners_together(combine, env_id):
    run = model(combine, 4, env_id).learn(256)
    assert run.rollout_buffer.log_probs.shape == (32, 8)
    actor, observations = run.parts.actor, th.as_tensor(run._last_obs)
    taught = run.distiller.teach(run.learners)
    together = actor.outputs(taught, observations).outputs
    each = taught(actor.preprocess(observations).expand(4, *observations.shape))
    assert together.shape == (8, each.shape[-1])
    assert th.allclose(together, combined(each, run.action_space, combine), atol=1e-5)


def test_it_goes_on_after_it_was_saved(tmp_path):
    model("probs", 4).learn(512).save(tmp_path / "model.zip")
    again = PPMO.load(tmp_path / "model.zip", make_vec_env("NDCartPole1D-v0", 8, seed=0))
    assert again.parts.actor.combine == "probs"
    again.learn(512, reset_num_timesteps=False)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"combine": "vote"}, "`combine` must be None, 'probs' or 'logits'"),
        ({"combine": "probs", "regularizers": {"cvar": 0.5}}, "`cvar` or `group_dro` does not go with it"),
        ({"combine": "probs", "encoder_layers": 1}, "an encoder does not go with it"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        PPMO("MlpPolicy", make_vec_env("NDCartPole1D-v0", 8), **arguments)


def test_gsde_is_refused():
    with pytest.raises(ArgumentError, match="gSDE does not go with it"):
        PPMO("MlpPolicy", make_vec_env("Pendulum-v1", 8), combine="probs", use_sde=True)


def test_the_loss_of_an_ensemble_is_lower_than_that_of_its_members():
    """Jensen: the mean of probabilities is likelier than the members are on average."""
    targets = th.randint(5, (7,), generator=th.Generator().manual_seed(1))
    each = th.stack([functional.cross_entropy(outputs, targets) for outputs in OUTPUTS]).mean()
    assert functional.cross_entropy(combined(OUTPUTS, spaces.Discrete(5), "probs"), targets) < each
