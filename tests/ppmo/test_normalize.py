"""``normalize``: PPMO normalises by itself, and everything outside of it sees raw observations."""

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from contract import ACTIONS, BOX, IMAGE, N_ENVS, OBSERVATIONS, ROLLOUT, VECTORS, make, same, spaces_env
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import NormalizeObservation, NormalizeReward
from helpers import OwnExtractor
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

from sb3_distill import PPMO, DAgger, DistilledPolicy, Expert, SyntheticDataset, clone, evaluate_learners
from sb3_distill.outer_loop.settings import Settings
from sb3_distill.rollback import Checkpoints, resume, rollback

FAR = spaces.Box(100, 900, (3,))
"""Observations that a policy cannot see as they are."""


class Clock(gym.Env):
    """Deterministic, with episodes of eight steps: what is shown follows from the step, what is paid from the action."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,))
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return self.see(), {}

    def see(self):
        return np.array([100 + self.steps, 5 * (self.steps % 3)], dtype=np.float32)

    def step(self, action):
        paid = 50.0 * float(action == (self.steps >= 4))
        self.steps += 1
        return self.see(), paid, self.steps == 8, False, {}


def clocks_of(n):
    return VecMonitor(DummyVecEnv([Clock] * n))


def clocks():
    return clocks_of(N_ENVS)


def pendulums():
    return gym.make_vec("Pendulum-v1", 2, "sync", {"autoreset_mode": AutoresetMode.SAME_STEP})


def far(action_space=ACTIONS["Discrete"], **kwargs):
    return spaces_env(FAR, action_space, **kwargs)


@pytest.mark.parametrize("kind", ["Box", "Discrete"])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        pytest.param({"dataset_init": "observations"}, id="observations"),
        pytest.param({"input_scale_learning_rate": 0.01}, id="input-scale"),
        pytest.param({"encoder_layers": 1}, id="encoder"),
        pytest.param({"inner_loop": "ridge"}, id="ridge"),
    ],
)
def test_it_learns_what_it_learns_in_a_vec_normalize(kind, arguments):
    raw, wrapped = far(ACTIONS[kind]), VecNormalize(far(ACTIONS[kind]), gamma=0.9)
    inside, outside = (
        make(env, normalize=normalize, gamma=0.9, **arguments).learn(5 * ROLLOUT)
        for env, normalize in ((raw, True), (wrapped, False))
    )
    states = (inside.dataset, outside.dataset), (inside.normalized_policy, outside.policy)
    for ours, theirs in states:
        for (name, one), two in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
            th.testing.assert_close(one, two, msg=name)
    ours, theirs = inside.dataset.info, outside.dataset.info
    np.testing.assert_allclose(ours.normalization.mean, theirs.normalization.mean)
    np.testing.assert_allclose(ours.normalization.var, theirs.normalization.var)
    assert ours.return_variance == pytest.approx(theirs.return_variance)
    assert ours.timesteps == theirs.timesteps


@pytest.mark.parametrize("what", ["rewards", "observations"])
def test_one_of_the_two_alone(what):
    raw, wrapped = far(), VecNormalize(far(), norm_obs=what == "observations", norm_reward=what == "rewards")
    inside, outside = make(raw, normalize=what).learn(3 * ROLLOUT), make(wrapped).learn(3 * ROLLOUT)
    assert inside.normalize == what
    for (name, one), two in zip(inside.dataset.state_dict().items(), outside.dataset.state_dict().values(), strict=True):
        th.testing.assert_close(one, two, msg=name)
    assert (inside.dataset.info.normalization is None) == (what == "rewards")
    assert (inside.dataset.info.return_variance is None) == (what == "observations")


@pytest.mark.parametrize(
    "kwargs",
    [{}, {"use_sde": True}, {"policy_kwargs": dict(net_arch=[])}, {"encoder_layers": 1}, {"input_scale_learning_rate": 0.05}],
)
def test_policy_and_critic_take_raw_observations(kwargs):
    model = make(far(ACTIONS["Box"]), normalize=True, **kwargs).learn(3 * ROLLOUT)
    raw = th.as_tensor(model.get_env().reset())
    shown = th.as_tensor(model.normalizer(raw.numpy()))
    assert raw.min() > 50
    assert shown.abs().max() < 10
    with th.no_grad():
        inside = model.normalized_policy.get_distribution(shown).distribution.mean
        outside = model.policy.get_distribution(raw).distribution.mean
        assert th.allclose(inside, outside, atol=1e-4)
        assert th.allclose(model.critic(shown), model.policy.predict_values(raw).flatten(), atol=1e-4)
    assert model.policy.optimizer is model.normalized_policy.optimizer


def test_everything_around_it_is_raw(tmp_path):
    env, eval_env = clocks(), clocks()
    callback = EvalCallback(
        eval_env, n_eval_episodes=2, eval_freq=ROLLOUT // N_ENVS, best_model_save_path=str(tmp_path), verbose=0
    )
    model = make(env, normalize=True, learning_rate=0.02).learn(60 * ROLLOUT, callback)
    assert model.get_env() is env
    assert model.get_vec_normalize_env() is None
    np.testing.assert_array_equal(model._last_obs, np.full((N_ENVS, 2), [100, 0]))
    assert max(info["r"] for info in model.ep_info_buffer) == 400  # the log has what the environments pay
    best, _ = evaluate_policy(model, clocks(), 4)
    assert best == callback.last_mean_reward == 400  # which a policy that sees 100 to 107 has to learn
    assert evaluate_policy(model.policy, clocks(), 4)[0] == 400
    assert evaluate_policy(PPMO.load(tmp_path / "best_model.zip"), clocks(), 4)[0] == callback.best_mean_reward
    model.policy.save(tmp_path / "policy")
    assert evaluate_policy(ActorCriticPolicy.load(tmp_path / "policy"), clocks(), 4)[0] == 400


def test_statistics_travel_with_the_dataset(tmp_path):
    model = make(clocks(), normalize=True, learning_rate=0.02).learn(60 * ROLLOUT)
    path = tmp_path / "set.safetensors"
    model.dataset.save(path)
    info = SyntheticDataset.load(path).info
    np.testing.assert_array_equal(info.normalization.mean, model.normalizer.obs_rms.mean)
    assert info.return_variance == model.normalizer.return_variance
    policy = DistilledPolicy.from_dataset(path, seed=0)
    assert evaluate_policy(policy, clocks(), 4)[0] > 350
    scores = evaluate_learners(path, 5, 4, deterministic=True, env=clocks_of)
    assert scores.returns.mean() > 350
    for fold in (False, True):
        student = policy.to_algorithm(PPO, clocks(), fold_normalization=fold, n_steps=8, batch_size=16, seed=0)
        assert evaluate_policy(student, student.get_env(), 4)[0] > 350
        student.learn(64)


@pytest.mark.parametrize("normalize", [True, "observations", "rewards"])
@pytest.mark.parametrize("force_reset", [True, False])
def test_a_loaded_model_goes_on_to_the_last_bit(normalize, force_reset, tmp_path):
    arguments = dict(normalize=normalize, n_steps=8 if force_reset else 11, batch_size=None)
    env = clocks()
    model = make(env, **arguments).learn(6 * ROLLOUT)
    model.save(tmp_path / "model")
    steps = [single.unwrapped.steps for single in env.envs]
    model.learn(3 * ROLLOUT, reset_num_timesteps=False)
    other = clocks()
    if not force_reset:  # in the middle of an episode
        other.reset()
        for single, step in zip(other.envs, steps, strict=True):
            single.unwrapped.steps = step
        other.buf_obs[None][:] = [single.unwrapped.see() for single in other.envs]
    loaded = PPMO.load(tmp_path / "model", other, force_reset=force_reset)
    assert loaded.normalize == normalize
    loaded.learn(3 * ROLLOUT, reset_num_timesteps=False)
    assert same(model.dataset.state_dict(), loaded.dataset.state_dict())
    assert same(model.policy.state_dict(), loaded.policy.state_dict())
    assert same(model.normalizer.state_dict(), loaded.normalizer.state_dict())
    assert loaded.dataset.info.return_variance == model.dataset.info.return_variance


def test_parameters_carry_the_statistics(tmp_path):
    model = make(far(), normalize=True).learn(2 * ROLLOUT)
    model.save(tmp_path / "model")
    raw = far().reset()
    for source in (model.get_parameters(), tmp_path / "model"):
        for other in (make(far(), normalize=True, seed=1), make(far(), normalize=True, seed=1).learn(ROLLOUT)):
            other.set_parameters(source)
            assert same(other.normalizer.state_dict(), model.normalizer.state_dict())
            assert same(other.policy.state_dict(), model.policy.state_dict())
            np.testing.assert_array_equal(other.predict(raw, deterministic=True)[0], model.predict(raw, deterministic=True)[0])
            assert other.learn(ROLLOUT).dataset.is_finite()
    trained = make(far(), normalize="rewards").learn(ROLLOUT)
    with pytest.raises(ValueError, match="sees raw observations, the dataset of this model sees normalised ones"):
        make(far(), normalize=True).set_parameters(trained.get_parameters())
    with pytest.raises(ValueError, match="made with normalised observations"):
        make(far(), normalize=False).set_parameters(model.get_parameters())


def test_a_dataset_with_statistics_goes_on(tmp_path):
    first = make(clocks(), normalize=True).learn(6 * ROLLOUT).dataset
    for dataset in (first, make(VecNormalize(clocks())).learn(6 * ROLLOUT).dataset):
        for normalize in (True, None):
            model = make(clocks(), normalize=normalize, initial_dataset=dataset)
            assert model.normalize is True
            np.testing.assert_array_equal(model.normalizer.normalization.mean, dataset.info.normalization.mean)
            raw = clocks().reset()
            model.predict(raw)
            model.learn(ROLLOUT)
            assert model.dataset.info.normalization.mean == pytest.approx(dataset.info.normalization.mean, rel=1e-3)
            assert model.dataset.info.return_variance == pytest.approx(dataset.info.return_variance, rel=1e-2)
            assert model.dataset.info.timesteps == 7 * ROLLOUT
    again = VecNormalize(clocks())
    make(again, initial_dataset=first).learn(ROLLOUT)  # and in a wrapper, as before
    for normalize in (False, "rewards"):
        with pytest.raises(ValueError, match="made with normalised observations"):
            make(clocks(), normalize=normalize, initial_dataset=first)


def test_a_dataset_of_raw_observations_keeps_them():
    raw = make(clocks(), normalize=False).learn(ROLLOUT).dataset
    with pytest.raises(
        ValueError, match="cannot normalise observations: the dataset that the run starts from was made with raw"
    ):
        make(clocks(), normalize=True, initial_dataset=raw)
    model = make(clocks(), normalize=None, initial_dataset=raw).learn(ROLLOUT)
    assert model.normalize is False
    assert (model.dataset.info.normalization, model.dataset.info.return_variance) == (None, None)


@pytest.mark.parametrize(
    "observation_space, expected",
    [
        ("Box", True),
        ("Box2D", True),
        ("Discrete", "rewards"),
        ("MultiDiscrete", "rewards"),
        ("MultiBinary", "rewards"),
        ("image", "rewards"),
        ("Dict", "rewards"),
    ],
)
def test_what_is_chosen_by_itself(observation_space, expected):
    space = OBSERVATIONS[observation_space]
    model = make(spaces_env(space), normalize=None)
    assert model.normalize == expected
    assert make(VecNormalize(spaces_env(space), norm_obs=False), normalize=None).normalize is False
    model.learn(ROLLOUT)
    assert model.dataset.is_finite()
    assert (model.dataset.info.normalization is None) == (expected != True)  # noqa: E712
    if expected == "rewards":
        for normalize in (True, "observations"):
            with pytest.raises(
                ValueError, match=r"cannot normalise observations: they must be numbers .* give normalize=.rew"
            ):
                make(spaces_env(space), normalize=normalize)


@pytest.mark.filterwarnings("ignore:statistics of Normalize", "ignore:.*wrapper.*")
@pytest.mark.parametrize("wrapper", [NormalizeObservation, NormalizeReward])
def test_wrappers_of_gymnasium_are_seen(wrapper):
    env = DummyVecEnv([lambda: wrapper(gym.make("Pendulum-v1"))] * 2)
    assert make(env, normalize=None, n_learners=2).normalize is False


@pytest.mark.filterwarnings("ignore:.*wrapper.*")
def test_wrappers_of_vectors_are_seen():
    vectors = gym.wrappers.vector.NormalizeReward(pendulums())  # that of observations does not go with SB3
    assert make(vectors, normalize=None, n_learners=2, policy="MlpPolicy").normalize is False
    assert make(pendulums(), normalize=None, n_learners=2, policy="MlpPolicy").normalize is True


@pytest.mark.parametrize("normalize", [True, "observations", "rewards"])
def test_nothing_is_normalised_twice(normalize, tmp_path):
    message = f"normalize={normalize!r} normalises inside the model, and the environment is in a VecNormalize"
    with pytest.raises(ValueError, match=message):
        make(VecNormalize(far()), normalize=normalize)
    model = make(far(), normalize=normalize).learn(ROLLOUT)
    with pytest.raises(ValueError, match=message):
        model.set_env(VecNormalize(far()))
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match=message):
        PPMO.load(tmp_path / "model", VecNormalize(far()))
    model.set_env(far())
    model.learn(ROLLOUT, reset_num_timesteps=False)


@pytest.mark.parametrize("normalize", ["both", 1, 0.5, []])
def test_unknown_values_are_named(normalize):
    with pytest.raises(ValueError, match="`normalize` must be True, False"):
        make(normalize=normalize)


def test_a_policy_that_cannot_take_raw_observations_is_named():
    kwargs = dict(features_extractor_class=OwnExtractor, net_arch=[8])
    with pytest.raises(ValueError, match="must begin with linear layers, which those of ActorCriticPolicy do not"):
        make(policy_kwargs=kwargs, normalize="observations")
    assert make(policy_kwargs=kwargs, normalize=None).normalize == "rewards"


def test_it_is_fixed_when_a_model_is_loaded(tmp_path):
    make(far(), normalize=True).learn(ROLLOUT).save(tmp_path / "on")
    make(far(), normalize=False).learn(ROLLOUT).save(tmp_path / "off")
    for name, before, now in (("on", True, False), ("on", True, "rewards"), ("off", False, True)):
        with pytest.raises(ValueError, match=f"`normalize` cannot change from {before} to {now!r} when a model is loaded"):
            PPMO.load(tmp_path / name, far(), normalize=now)
        assert PPMO.load(tmp_path / name, far(), normalize=None).normalize is before
    with pytest.raises(AttributeError, match="`normalize` shapes the dataset"):
        PPMO.load(tmp_path / "on").normalize = False


@pytest.mark.parametrize("env", [far, lambda: VecNormalize(far())])
def test_models_of_before_stay_as_they_were_whatever_the_default(env, tmp_path, monkeypatch):
    model = make(env(), normalize=False).learn(ROLLOUT)
    for settings in (model.arguments, model.settings):
        del settings.__dict__["normalize"]
    model.save(tmp_path / "model")
    monkeypatch.setattr(Settings, "normalize", None)
    loaded = PPMO.load(tmp_path / "model", env())
    assert loaded.normalize is False
    assert not loaded.normalizer.is_on
    assert same(loaded.policy.state_dict(), model.policy.state_dict())
    loaded.learn(ROLLOUT, reset_num_timesteps=False).save(tmp_path / "again")
    assert PPMO.load(tmp_path / "again").normalize is False


def test_what_is_normalised_is_said_once(capsys, tmp_path):
    model = make(far(), normalize=None, verbose=1)
    assert capsys.readouterr().out.count("Normalising observations and rewards inside PPMO") == 1
    model.save(tmp_path / "model")
    PPMO.load(tmp_path / "model", far())
    make(far(), normalize=True)
    make(VecNormalize(far()), normalize=None, verbose=1)
    assert "Normalising" not in capsys.readouterr().out


def test_the_discount_of_returns_is_live():
    model = make(far(), normalize="rewards", gamma=0.5).learn(ROLLOUT)
    assert model.normalizer.gamma == 0.5
    model.gamma = 0.9
    assert model.learn(ROLLOUT).normalizer.gamma == 0.9


def test_a_bad_discount_does_not_spoil_the_statistics():
    model = make(far(), normalize=True).learn(ROLLOUT)
    model.gamma = float("nan")
    with pytest.raises(ValueError, match="`gamma` must be finite"):
        model.learn(ROLLOUT)
    model.gamma = 0.9
    assert np.isfinite(model.learn(ROLLOUT).dataset.info.return_variance)


def test_checkpoints_go_on(tmp_path):
    make(clocks(), normalize=True).learn(2 * ROLLOUT, Checkpoints(tmp_path))
    model = resume(PPMO, tmp_path, clocks())
    assert model.normalizer.obs_rms.count > 2 * ROLLOUT
    whole = make(clocks(), normalize=True).learn(4 * ROLLOUT)
    model.learn(2 * ROLLOUT, Checkpoints(tmp_path), reset_num_timesteps=False)
    assert same(model.dataset.state_dict(), whole.dataset.state_dict())


def test_a_ladder(tmp_path):
    arguments = dict(normalize=None, n_steps=8, n_instances=4, seed=0, policy_kwargs=dict(net_arch=[8]))
    rollback(
        "MlpPolicy", clocks, [1, 0], ROLLOUT, tmp_path, 2, 1, clocks_of, **arguments
    )  # fmt: skip
    below = SyntheticDataset.load(tmp_path / "l0.safetensors").info
    assert below.timesteps == 2 * ROLLOUT
    assert below.normalization.mean[0] == pytest.approx(103.5, abs=0.5)


@pytest.mark.filterwarnings("ignore:the agent gets")
@pytest.mark.parametrize("has_statistics", [True, False])
def test_a_clone_takes_the_statistics_of_the_agent(has_statistics):
    wrapped = VecNormalize(clocks())
    agent = PPO("MlpPolicy", wrapped, n_steps=8, batch_size=32, seed=0, device="cpu").learn(64)
    expert = Expert(agent.policy, wrapped if has_statistics else None)
    arguments = dict(n_instances=4, n_steps=8, n_updates=4, batch_size=32, policy_kwargs=dict(net_arch=[8]), seed=0)
    inside = DAgger("MlpPolicy", clocks(), expert, normalize=True, **arguments)
    assert inside.normalize == "observations"
    inside.learn(4 * ROLLOUT)
    outside = DAgger("MlpPolicy", VecNormalize(clocks(), norm_reward=False), expert, **arguments).learn(4 * ROLLOUT)
    for (name, one), two in zip(inside.dataset.state_dict().items(), outside.dataset.state_dict().values(), strict=True):
        th.testing.assert_close(one, two, msg=name)
    assert inside.dataset.info.timesteps == outside.dataset.info.timesteps
    if has_statistics:
        np.testing.assert_array_equal(inside.dataset.info.normalization.mean, wrapped.obs_rms.mean)
    copy = clone(expert, clocks(), 2 * ROLLOUT, seed=0, normalize=True, **{k: v for k, v in arguments.items() if k != "seed"})
    assert copy.normalize == "observations"
    with pytest.raises(ValueError, match="no rewards to normalise"):
        DAgger("MlpPolicy", clocks(), expert, normalize="rewards", **arguments)


@pytest.mark.parametrize("space", [BOX, IMAGE, VECTORS])
def test_off_is_off(space):
    model = make(spaces_env(space), normalize=False).learn(ROLLOUT)
    assert model.normalize is False
    assert model.normalized_policy is model.policy
    assert not {"normalizer", "normalized_policy"} & set(model.get_parameters())
