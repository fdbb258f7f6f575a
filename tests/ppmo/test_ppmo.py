"""PPMO as a user meets it: it learns, it logs, it saves and resumes, and it says what is wrong."""

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from helpers import FaultyEnv, ReachEnv, simplex_dataset
from scipy import stats
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.envs import IdentityEnvMultiBinary, IdentityEnvMultiDiscrete
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import configure
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

import nd_cartpole
from sb3_distill import PPMO, DatasetError, DistilledPolicy, SyntheticDataset, evaluate_learners, make_vec_env
from sb3_distill.learners.population import Learners
from sb3_distill.networks.stacked import stack_parameters
from sb3_distill.online.buffers import LearnerRolloutBuffer

SMALL = dict(n_steps=32, batch_size=128, n_epochs=2, policy_kwargs=dict(net_arch=[16]), seed=0)


def small_env(n_envs=8, env_id="NDCartPole2D-v0"):
    return make_vec_env(env_id, n_envs, seed=0)


def improved(before, after):
    """A permutation test on the mean returns of learners: no lucky threshold."""
    result = stats.permutation_test(
        (after.learner_means, before.learner_means), lambda x, y, axis: x.mean(axis) - y.mean(axis), alternative="greater",
        vectorized=True, n_resamples=2000, rng=np.random.default_rng(0),
    )  # fmt: skip
    return result.pvalue < 0.01


@pytest.mark.parametrize("env_id", ["NDCartPole1D-v0", "NDCartPole2D-v0"])
def test_discrete_tasks_are_learned(env_id):
    model = PPMO("MlpPolicy", small_env(64, env_id), seed=0)
    before = evaluate_learners(model.dataset, 20, 5)
    model.learn(200_000)
    after = evaluate_learners(model.dataset, 20, 5)
    assert improved(before, after)
    assert after.mean > 3 * before.mean
    # `policy` is one fixed draw, taught: it plays as the learners do.
    assert evaluate_policy(model, small_env(5, env_id), 10)[0] > 2 * before.mean


@pytest.mark.parametrize("kind", ["sgd", "ridge"])
def test_continuous_tasks_are_learned(kind):
    def make(n_envs):
        return DummyVecEnv([ReachEnv for _ in range(n_envs)])

    model = PPMO("MlpPolicy", make(16), n_instances=16, n_steps=64, inner_loop=kind, seed=0)
    before = evaluate_learners(model.dataset, 10, 5, deterministic=True, env=make)
    model.learn(30_000)
    after = evaluate_learners(model.dataset, 10, 5, deterministic=True, env=make)
    assert improved(before, after)
    assert after.mean > 0.3 * before.mean  # costs
    assert (model.dataset.log_std >= -3).all() and (model.dataset.log_std < 0).all()


def test_two_runs_with_one_seed_are_identical():
    datasets = []
    for _ in range(2):
        model = PPMO("MlpPolicy", small_env(), **SMALL).learn(1024)
        datasets.append(model.dataset.state_dict())
    for name, value in datasets[0].items():
        assert th.equal(value, datasets[1][name])
    other = PPMO("MlpPolicy", small_env(), **{**SMALL, "seed": 1}).learn(1024)
    assert not th.equal(other.dataset.labels, datasets[0]["labels"])


def test_save_and_load_continue(tmp_path):
    model = PPMO("MlpPolicy", small_env(), **SMALL).learn(512)
    model.save(tmp_path / "model.zip")
    without_env = PPMO.load(tmp_path / "model.zip")
    observation = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    np.testing.assert_array_equal(
        model.predict(observation, deterministic=True)[0], without_env.predict(observation, deterministic=True)[0]
    )
    finals = []
    for _ in range(2):
        loaded = PPMO.load(tmp_path / "model.zip", env=small_env())
        for name in ("dataset", "policy", "initial_actor"):
            theirs = getattr(loaded, name).state_dict()
            for key, value in getattr(model, name).state_dict().items():
                assert th.equal(value, theirs[key])
        assert (
            loaded.dataset_optimizer.state_dict()["state"][0]["step"]
            == model.dataset_optimizer.state_dict()["state"][0]["step"]
        )
        loaded.learn(512, reset_num_timesteps=False)
        assert loaded.num_timesteps == 1024
        finals.append(loaded.dataset.state_dict())
    for name, value in finals[0].items():
        assert th.equal(value, finals[1][name])
        assert not th.equal(value, model.dataset.state_dict()[name])


def test_the_log_has_what_the_readme_names(tmp_path):
    model = PPMO("MlpPolicy", small_env(), **SMALL)
    model.set_logger(configure(str(tmp_path), ["csv"]))
    model.learn(1024)
    header = (tmp_path / "progress.csv").read_text().splitlines()[0].split(",")
    for key in (
        "rollout/ep_rew_mean", "train/inner_learning_rate", "train/dataset_grad_norm", "train/approx_kl", "time/fps",
        "train/clip_fraction", "train/entropy_loss", "train/explained_variance", "train/loss", "train/value_loss",
    ):  # fmt: skip
        assert key in header


def test_progress_bar_and_tensorboard(tmp_path):
    PPMO("MlpPolicy", small_env(), tensorboard_log=str(tmp_path), **SMALL).learn(512, progress_bar=True)
    assert list(tmp_path.glob("PPMO_1/events*"))


def test_the_dataset_says_where_it_comes_from(tmp_path):
    model = PPMO("MlpPolicy", make_vec_env("NDCartPole-v0", 8, env_kwargs=dict(n_dims=3)), **SMALL).learn(256)
    model.dataset.save(tmp_path / "set.safetensors")
    info = SyntheticDataset.load(tmp_path / "set.safetensors").info
    assert (info.env_id, info.env_kwargs, info.policy, info.seed, info.timesteps) == (
        "NDCartPole-v0",
        {"n_dims": 3},
        "MlpPolicy",
        0,
        256,
    )
    assert info.policy_kwargs == {"net_arch": [16]}
    assert info.versions["stable-baselines3"]
    assert evaluate_learners(tmp_path / "set.safetensors", 2, 2).returns.shape == (2, 2)


@pytest.mark.parametrize("n_envs, n_learners, expected", [(64, None, 8), (10, None, 5), (7, None, 7), (1, None, 1), (6, 2, 2)])
def test_number_of_learners(n_envs, n_learners, expected):
    model = PPMO("MlpPolicy", small_env(n_envs), n_learners=n_learners, **SMALL)
    assert model.rollout_buffer.n_learners == expected


def test_where_labels_and_rates_of_continuous_actions_start():
    env = DummyVecEnv([lambda: FaultyEnv(0, "nothing", continuous=True)] * 4)
    for kind in ("sgd", "ridge"):
        assert 0.07 < PPMO("MlpPolicy", env, inner_loop=kind, **SMALL).dataset.labels.std() < 0.13
    rate = PPMO("MlpPolicy", env, **SMALL).dataset.learned["log_inner_learning_rates"].exp().item()
    assert rate == pytest.approx(0.6 * 2)  # two dimensions
    rate = PPMO("MlpPolicy", env, inner_learning_rate=0.3, **SMALL).dataset.learned["log_inner_learning_rates"].exp().item()
    assert rate == pytest.approx(0.3)
    assert PPMO("MlpPolicy", small_env(), **SMALL).dataset.learned["log_inner_learning_rates"].item() == 0.0


def test_numbers_of_instances():
    assert PPMO("MlpPolicy", small_env(), **SMALL).dataset.n_instances == 3
    assert PPMO("MlpPolicy", make_vec_env("Pendulum-v1", 2), **SMALL).dataset.n_instances == 64
    for env, classes in ((IdentityEnvMultiBinary(3), 6), (IdentityEnvMultiDiscrete(3), 6)):
        assert PPMO("MlpPolicy", env, n_steps=8, batch_size=8).dataset.n_instances == classes
    assert PPMO("MlpPolicy", small_env(), n_instances=512, **SMALL).dataset.n_instances == 512
    with pytest.warns(UserWarning, match="below the 3 that Eq. 3"):
        PPMO("MlpPolicy", small_env(), n_instances=2, **SMALL)
    with pytest.raises(ValueError, match="`n_instances` must be at least 1.*got 0"):
        PPMO("MlpPolicy", small_env(), n_instances=0, **SMALL)


def test_several_inner_steps(tmp_path):
    model = PPMO("MlpPolicy", small_env(), n_inner_steps=3, inner_learning_rate=0.3, **SMALL).learn(512)
    assert model.dataset.log_inner_learning_rates.shape == (3, 1)
    model.dataset.save(tmp_path / "set.safetensors")
    assert SyntheticDataset.load(tmp_path / "set.safetensors").inner_loop.n_steps == 3


def test_a_run_can_start_from_a_dataset(tmp_path):
    dataset = simplex_dataset(2, 10.0)
    dataset.save(tmp_path / "set.safetensors")
    for given in (dataset, tmp_path / "set.safetensors"):
        model = PPMO("MlpPolicy", small_env(), initial_dataset=given, seed=0)
        assert evaluate_policy(model, small_env(2), 4)[0] == 500
        assert th.equal(model.dataset.labels, dataset.labels) and model.dataset.labels is not dataset.labels
    with pytest.raises(DatasetError, match="observation space"):
        PPMO("MlpPolicy", "CartPole-v1", initial_dataset=dataset)


def test_a_dataset_can_start_from_visited_states(tmp_path):
    env = VecNormalize(small_env(4))
    visited = []
    step = env.step_wait
    env.step_wait = lambda: (lambda result: (visited.append(result[0]), result)[1])(step())
    model = PPMO("MlpPolicy", env, n_instances=5, dataset_init="observations", **{**SMALL, "learning_rate": 0.0})
    model.learn(128)
    assert model.dataset.info.timesteps == 2 * 128  # a rollout of random actions, and one of learners
    states = np.concatenate(visited[:32])
    found = [np.isclose(states, row, atol=1e-6).all(axis=1).any() for row in model.dataset.observations.detach().numpy()]
    assert all(found)
    model.save(tmp_path / "model.zip")
    again = PPMO.load(tmp_path / "model.zip", VecNormalize(small_env(4))).learn(128, reset_num_timesteps=False)
    assert again.dataset.info.timesteps == 3 * 128
    # It is the paper's way that is the default, and what comes with a dataset stays.
    assert model.get_parameters()["dataset"]["observations"].shape == (5, 8)
    with pytest.warns(UserWarning, match="`dataset_init` is not used"):
        given = simplex_dataset(2, 10.0)
        go_on = PPMO("MlpPolicy", small_env(4), initial_dataset=given, dataset_init="observations", **SMALL)
    before = go_on.dataset.observations.clone()
    go_on._setup_learn(128, None)
    assert th.equal(go_on.dataset.observations, before)


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_visited_states_must_be_finite(normalized):
    env = DummyVecEnv([lambda: FaultyEnv(5, "observation")])
    model = PPMO("MlpPolicy", VecNormalize(env) if normalized else env, dataset_init="observations", n_steps=16)
    with pytest.raises(FloatingPointError, match="observation is NaN or infinite at step 5 of environment 0"):
        model.learn(16)
    assert model.dataset.is_finite()


def test_visited_states_of_several_kinds():
    from stable_baselines3.common.envs import SimpleMultiObsEnv

    for policy, env in (("MlpPolicy", "FrozenLake-v1"), ("MultiInputPolicy", SimpleMultiObsEnv())):
        model = PPMO(policy, env, dataset_init="observations", n_steps=16, batch_size=16, learning_rate=0.0, weight_decay=0.0)
        model.learn(16)
        if policy == "MlpPolicy":
            assert (model.dataset.observations.sum(dim=1) == 1).all()  # one-hot
        else:
            assert model.dataset.observations["img"].max() > 0


def test_rates_follow_learning_rate_unless_given():
    model = PPMO(
        "MlpPolicy", small_env(), learning_rate=1.0, labels_learning_rate=lambda p: 3 * p, critic_learning_rate=0.5, **SMALL
    )
    rates = model._step_sizes()
    assert rates["learning"] == 1.0 and rates["labels"] == 3.0 and rates["critic"] == 0.5
    model._current_progress_remaining = 0.5
    assert model._step_sizes()["labels"] == 1.5


def test_a_short_last_minibatch_is_announced_and_harmless():
    with pytest.warns(UserWarning, match="truncated mini-batch of size"):
        model = PPMO("MlpPolicy", small_env(), **{**SMALL, "batch_size": 96})
    model.learn(256)
    assert model.dataset.is_finite()


def test_target_kl_stops_early(capsys):
    PPMO("MlpPolicy", small_env(), learning_rate=1.0, target_kl=1e-6, verbose=1, **SMALL).learn(512)
    assert "Early stopping" in capsys.readouterr().out


def test_callbacks_see_the_step():
    seen = []

    class Spy(BaseCallback):
        def _on_step(self) -> bool:
            seen.append({name: self.locals[name] for name in ("dones", "infos", "rewards", "new_obs", "actions")})
            return len(seen) < 10

    model = PPMO("MlpPolicy", small_env(), **SMALL).learn(10_000, callback=Spy())
    assert len(seen) == 10 and model.num_timesteps == 80


def test_minibatches_hold_each_learners_own_transitions():
    buffer = LearnerRolloutBuffer(6, gym.spaces.Box(-1, 1, (1,)), gym.spaces.Discrete(2), n_envs=4, n_learners=2)
    for step in range(6):
        obs = np.arange(4, dtype=np.float32).reshape(4, 1) + step / 10
        buffer.add(obs, np.zeros((4, 1)), np.zeros(4), np.zeros(4), th.zeros(4), th.zeros(4))
    buffer.compute_returns_and_advantage(th.zeros(4), np.zeros(4))
    batches = list(buffer.get(8))
    for batch in batches:
        learner_of = batch.observations.flatten().floor().long() // 2
        assert learner_of.tolist() == [0] * 4 + [1] * 4
    everything = th.cat([batch.observations.flatten() for batch in batches])
    assert len(everything.unique()) == 24


# ------------------------------------------------------------------ bad input


def test_gymnasium_vector_envs_are_taken_if_they_reset_in_the_same_step():
    env = gym.make_vec("NDCartPole2D-v0", num_envs=8, autoreset_mode=AutoresetMode.SAME_STEP)
    PPMO("MlpPolicy", env, **SMALL).learn(256)
    with pytest.raises(ValueError, match="autoreset mode NEXT_STEP, but SB3 needs SAME_STEP: make it with"):
        PPMO("MlpPolicy", gym.make_vec("NDCartPole2D-v0", num_envs=8), **SMALL)


def test_learners_must_share_the_environments_evenly():
    with pytest.raises(ValueError, match="`n_learners` must divide.*8 environments, n_learners=3"):
        PPMO("MlpPolicy", small_env(), n_learners=3, **SMALL)
    with pytest.raises(ValueError, match="`n_learners` must be at least 1"):
        PPMO("MlpPolicy", small_env(), n_learners=0, **SMALL)


def test_a_minibatch_must_hold_every_learner():
    with pytest.raises(ValueError, match="`batch_size` must be at least the number of learners.*batch_size=4, 8 learners"):
        PPMO("MlpPolicy", small_env(), **{**SMALL, "batch_size": 4})


def test_foreign_buffers_are_refused():
    with pytest.raises(ValueError, match="`rollout_buffer_class` must derive from LearnerRolloutBuffer"):
        PPMO("MlpPolicy", small_env(), rollout_buffer_class=RolloutBuffer, **SMALL)


def test_recurrent_policies_are_refused():
    class Recurrent(ActorCriticPolicy):
        lstm_actor = None

    with pytest.raises(ValueError, match="recurrent policies are not supported"):
        PPMO(Recurrent, small_env(), **SMALL)


def test_frozen_parameters_are_refused():
    class Frozen(ActorCriticPolicy):
        def _build(self, lr_schedule):
            super()._build(lr_schedule)
            self.mlp_extractor.policy_net.requires_grad_(False)

    with pytest.raises(ValueError, match=r"`latent.0.weight` of the actor is frozen, but learners are drawn anew"):
        PPMO(Frozen, small_env(), **SMALL)


def test_unknown_inner_loops_and_distributions_are_refused():
    with pytest.raises(ValueError, match="unknown `inner_loop` 'nonsense'"):
        PPMO("MlpPolicy", small_env(), inner_loop="nonsense", **SMALL)
    with pytest.raises(ValueError, match="learner_distribution"):
        PPMO("MlpPolicy", small_env(), learner_distribution="nonsense", **SMALL)


@pytest.mark.parametrize("what", ["reward", "observation"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_is_not_finite_stops_training_and_nothing_is_lost(tmp_path, what, value, normalized):
    env = DummyVecEnv([lambda i=i: FaultyEnv(40 if i == 1 else 0, what, value) for i in range(4)])
    env = VecNormalize(env) if normalized else env
    model = PPMO("MlpPolicy", env, **{**SMALL, "n_steps": 16, "batch_size": 32})
    model.set_logger(configure(str(tmp_path), ["csv"]))
    last = {}

    class Keep(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_start(self) -> None:
            last.update({name: tensor.clone() for name, tensor in self.model.dataset.state_dict().items()})

    # An observation comes with the step before it: at step 40 it is what step 40 acts on, counting from 0.
    step = 39 if what == "reward" else 40
    where = "environments 0, 1, 2, 3" if normalized else "environment 1"  # statistics spread it
    with pytest.raises(FloatingPointError, match=f"{what} is NaN or infinite at step {step} of {where}"):
        model.learn(10_000, callback=Keep())
    assert model.dataset.is_finite()
    rescued = SyntheticDataset.load(tmp_path / "last_finite_dataset.safetensors")
    assert not normalized or np.isfinite(rescued.info.normalization.mean).all()
    for name, value in last.items():
        assert th.equal(value, model.dataset.state_dict()[name]) and th.equal(value, rescued.state_dict()[name])


def test_gradients_that_are_not_finite_are_skipped_and_counted():
    model = PPMO("MlpPolicy", small_env(), **SMALL)
    model.learn(256)
    with th.no_grad():
        model.dataset.labels.fill_(1e30)
        model.dataset.log_inner_learning_rates.fill_(50.0)
    model.train()
    assert model.logger.name_to_value["train/skipped_steps"] > 0
    assert model.dataset.is_finite()


def test_importing_registers_the_environments():
    assert nd_cartpole and "NDCartPole5D-v0" in gym.registry


def test_normalisation_travels_with_the_dataset(tmp_path):
    env = VecNormalize(DummyVecEnv([lambda: gym.make("Pendulum-v1") for _ in range(4)]))
    model = PPMO("MlpPolicy", env, **SMALL).learn(256)
    model.dataset.save(tmp_path / "set.safetensors")
    normalization = SyntheticDataset.load(tmp_path / "set.safetensors").info.normalization
    np.testing.assert_allclose(normalization.mean, env.obs_rms.mean)
    raw = env.observation_space.sample()
    np.testing.assert_allclose(normalization(raw), env.normalize_obs(raw), rtol=1e-6)
    policy = DistilledPolicy.from_dataset(tmp_path / "set.safetensors", seed=0)
    assert policy.predict(raw)[0].shape == (1,)
    model.save(tmp_path / "model.zip")
    again = PPMO.load(tmp_path / "model.zip")
    np.testing.assert_allclose(again.dataset.info.normalization.mean, normalization.mean)


def test_a_dataset_made_without_normalisation_is_not_put_behind_one():
    with pytest.raises(ValueError, match="made without normalised observations: leave out the VecNormalize"):
        PPMO("MlpPolicy", VecNormalize(small_env()), initial_dataset=simplex_dataset(2, 10.0), **SMALL)
    PPMO("MlpPolicy", VecNormalize(small_env(), norm_obs=False), initial_dataset=simplex_dataset(2, 10.0), **SMALL)


def test_clipping_travels_with_the_statistics():
    env = VecNormalize(small_env(), clip_obs=3.0, epsilon=0.1)
    dataset = PPMO("MlpPolicy", env, **SMALL).learn(256).dataset
    again = VecNormalize(small_env())
    PPMO("MlpPolicy", again, initial_dataset=dataset, **SMALL)
    assert (again.clip_obs, again.epsilon) == (3.0, 0.1)


def test_a_model_that_started_from_a_file_loads_without_it(tmp_path):
    path = tmp_path / "set.safetensors"
    simplex_dataset(2, 10.0).save(path)
    PPMO("MlpPolicy", small_env(), initial_dataset=path, seed=0).save(tmp_path / "model.zip")
    path.unlink()
    model = PPMO.load(tmp_path / "model.zip")
    assert evaluate_policy(model, small_env(2), 2)[0] == 500


@pytest.mark.parametrize("kwargs", [{}, {"use_expln": True}, {"full_std": False}, {"squash_output": True}])
def test_state_dependent_exploration(kwargs, tmp_path):
    settings = {**SMALL, "policy_kwargs": dict(net_arch=[16], **kwargs)}
    model = PPMO("MlpPolicy", make_vec_env("Pendulum-v1", 4), use_sde=True, sde_sample_freq=8, n_instances=4, **settings)
    model.learn(256)
    model.dataset.save(tmp_path / "set.safetensors")
    for deterministic in (False, True):
        assert np.isfinite(evaluate_learners(tmp_path / "set.safetensors", 2, 2, deterministic).returns).all()
    assert DistilledPolicy.from_dataset(tmp_path / "set.safetensors").predict(np.zeros(3, dtype=np.float32))[0].shape == (1,)


def test_batch_norm_statistics_are_shared_and_travel(tmp_path):
    class Extractor(BaseFeaturesExtractor):
        def __init__(self, space):
            super().__init__(space, 8)
            self.norm = th.nn.BatchNorm1d(8)
            self.dropout = th.nn.Dropout(0.5)

        def forward(self, x):
            return self.dropout(self.norm(x))

    settings = {**SMALL, "policy_kwargs": dict(net_arch=[16], features_extractor_class=Extractor)}
    model = PPMO("MlpPolicy", small_env(), **settings).learn(512)
    model.dataset.save(tmp_path / "set.safetensors")
    mean = model.policy.features_extractor.norm.running_mean
    assert (mean != 0).any()
    policy = DistilledPolicy.from_dataset(
        tmp_path / "set.safetensors", "MlpPolicy", dict(net_arch=[16], features_extractor_class=Extractor)
    )
    assert th.equal(policy.features_extractor.norm.running_mean, mean)


def test_custom_networks_are_split_into_what_is_taught_and_what_is_trained():
    class Body(th.nn.Module):
        def __init__(self, width):
            super().__init__()
            self.latent_dim_pi, self.latent_dim_vf = 12, 10
            self.one = th.nn.Sequential(th.nn.Linear(width, 12), th.nn.Tanh())
            self.other = th.nn.Sequential(th.nn.Linear(width, 10), th.nn.Tanh())

        def forward_actor(self, x):
            return self.one(x)

        def forward_critic(self, x):
            return self.other(x)

        def forward(self, x):
            return self.forward_actor(x), self.forward_critic(x)

    class Own(ActorCriticPolicy):
        def _build_mlp_extractor(self):
            self.mlp_extractor = Body(self.features_dim)

    model = PPMO(Own, small_env(), **{**SMALL, "policy_kwargs": {}})
    before = {name: value.clone() for name, value in model.policy.state_dict().items()}
    model.learn(512)
    changed = {name for name, value in model.policy.state_dict().items() if not th.equal(value, before[name])}
    assert {f"mlp_extractor.{part}.0.weight" for part in ("one", "other")} | {
        "action_net.weight",
        "value_net.weight",
    } <= changed
    trained = {id(p) for group in model.policy.optimizer.param_groups for p in group["params"]}
    assert trained == {id(p) for name, p in model.policy.named_parameters() if "other" in name or "value_net" in name}
    assert evaluate_policy(model, small_env(2), 2)[0] > 0


@pytest.mark.parametrize("end", ["rollout", "episode"])
def test_the_last_observation_of_a_rollout_or_an_episode_is_checked_too(end):
    # FaultyEnv cuts its episodes after 50 steps; a rollout has 16.
    bad_step = 16 if end == "rollout" else 50
    env = DummyVecEnv([lambda i=i: FaultyEnv(bad_step if i == 1 else 0, "observation") for i in range(4)])
    model = PPMO("MlpPolicy", env, **{**SMALL, "n_steps": 16, "batch_size": 32})
    with pytest.raises(FloatingPointError, match=f"observation.* at step {16 if end == 'rollout' else 49} of environment 1"):
        model.learn(4 * 64)
    assert all(parameter.isfinite().all() for parameter in model.policy.parameters())


def test_arguments_out_of_range():
    with pytest.raises(ValueError, match="`dataset_init` must be one of normal, observations, got 'states'"):
        PPMO("MlpPolicy", "CartPole-v1", dataset_init="states")
    with pytest.raises(ValueError, match="`n_epochs`"):
        PPMO("MlpPolicy", small_env(), **{**SMALL, "n_epochs": 0})
    with pytest.raises(ValueError, match="`gamma` must be a number"):
        PPMO("MlpPolicy", small_env(), gamma="lin_0.9", **SMALL)
    with pytest.warns(UserWarning, match="`n_inner_steps` are not used: `initial_dataset` brings its own"):
        PPMO("MlpPolicy", small_env(), n_inner_steps=3, initial_dataset=simplex_dataset(2, 10.0), **SMALL)
    with pytest.warns(UserWarning, match="n_instances=5 is not used"):
        PPMO("MlpPolicy", small_env(), n_instances=5, initial_dataset=simplex_dataset(2, 10.0), **SMALL)


def test_an_initial_dataset_brings_its_normalisation_and_sheds_its_scores():
    env = VecNormalize(make_vec_env("NDCartPole1D-v0", 4))
    first = PPMO("MlpPolicy", env, n_steps=8, seed=0).learn(64).dataset
    first.info.scores = {"sampled": {"mean": 500.0, "std": 0.0}}
    fresh = VecNormalize(make_vec_env("NDCartPole1D-v0", 4))
    model = PPMO("MlpPolicy", fresh, n_steps=8, seed=5, initial_dataset=first)
    assert (fresh.obs_rms.mean == first.info.normalization.mean).all()
    model.learn(32)
    assert (model.dataset.info.seed, model.dataset.info.timesteps, model.dataset.info.scores) == (5, 96, {})
    with pytest.raises(ValueError, match="put the environment into a VecNormalize"):
        PPMO("MlpPolicy", make_vec_env("NDCartPole1D-v0", 4), initial_dataset=first)


class DistractedEnv(ReachEnv):
    """Pointing at a target that is seen among forty numbers that mean nothing."""

    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Box(-1, 1, (42,))

    def reset(self, **kwargs):
        target, info = super().reset(**kwargs)
        return self.see(target), info

    def step(self, action):
        target, *rest = super().step(action)
        return self.see(target), *rest

    def see(self, target):
        return np.concatenate([self.np_random.uniform(-1, 1, 40), target]).astype(np.float32)


def test_weights_of_observations_are_learned_and_travel(tmp_path):
    def make(n_envs):
        return DummyVecEnv([DistractedEnv for _ in range(n_envs)])

    scores = []
    for rate in (None, 0.01):
        env = VecNormalize(make(16))
        model = PPMO("MlpPolicy", env, n_instances=16, n_steps=64, input_scale_learning_rate=rate, seed=0).learn(40_000)
        scores.append(evaluate_learners(model.dataset, 10, 5, deterministic=True, env=make))
    assert improved(*scores)
    weights = model.dataset.input_scale.detach().numpy()
    assert weights[40:].min() > 2 * weights[:40].mean()
    path = tmp_path / "set.safetensors"
    model.dataset.save(path)
    again = evaluate_learners(path, 10, 5, deterministic=True, env=make)
    np.testing.assert_array_equal(again.returns, scores[1].returns)
    # A plain SB3 model carries them in its statistics, or in its first layer.
    policy = DistilledPolicy.from_dataset(path, seed=0)
    observations = np.stack([env.observation_space.sample() for _ in range(5)])
    expected = policy.predict(observations, deterministic=True)[0]
    wrapped = policy.to_algorithm(PPO, make(1), n_steps=64, seed=0)
    normalized = wrapped.get_vec_normalize_env().normalize_obs(observations)
    np.testing.assert_allclose(wrapped.predict(normalized, deterministic=True)[0], expected, atol=1e-4)
    folded = policy.to_algorithm(PPO, make(1), fold_normalization=True, n_steps=64, seed=0)
    np.testing.assert_allclose(folded.predict(observations, deterministic=True)[0], expected, atol=1e-4)
    # The model's own policy takes what its environment shows.
    seen = th.as_tensor(model._last_obs[:3])
    learners = model.dataset.teach(Learners([(model.parts.policy_actor.rest, stack_parameters([model.initial_actor]))]))
    outputs = model.parts.actor.outputs(learners, seen).outputs
    np.testing.assert_allclose(model.policy.get_distribution(seen).distribution.mean.detach(), outputs.detach(), atol=1e-4)
    # A run that goes on from the file keeps them, and learns on where it is told to.
    kept = PPMO("MlpPolicy", VecNormalize(make(16)), initial_dataset=path, n_steps=8, seed=0).learn(200).dataset
    assert kept.input_scale.detach().numpy() == pytest.approx(weights)
    assert kept.info.normalization.scale == pytest.approx(weights)
    model.save(tmp_path / "model.zip")
    loaded = PPMO.load(tmp_path / "model.zip", VecNormalize(make(16))).learn(2_000)
    assert not np.allclose(loaded.dataset.input_scale.detach().numpy(), weights)


def test_an_initial_dataset_brings_the_scale_of_rewards(tmp_path):
    def environment(**kwargs):
        return VecNormalize(make_vec_env("Pendulum-v1", 4, seed=0), **kwargs)

    env = environment()
    PPMO("MlpPolicy", env, n_steps=64, seed=0).learn(256).dataset.save(tmp_path / "set.safetensors")
    again = environment()
    PPMO("MlpPolicy", again, n_steps=64, initial_dataset=tmp_path / "set.safetensors")
    assert env.ret_rms.var > 2 and again.ret_rms.var == pytest.approx(env.ret_rms.var)
    # Statistics of one's own stay.
    PPMO("MlpPolicy", env, n_steps=64, initial_dataset=tmp_path / "set.safetensors")
    assert env.ret_rms.count < 1_000
    unscaled = environment(norm_reward=False)
    assert PPMO("MlpPolicy", unscaled, n_steps=64, seed=0).learn(256).dataset.info.return_variance is None


def test_weights_of_observations_need_flat_normalised_ones():
    with pytest.raises(ValueError, match="needs normalised observations: put the environment into a VecNormalize"):
        PPMO("MlpPolicy", small_env(), input_scale_learning_rate=0.01, **SMALL)
    images = DummyVecEnv([lambda: gym.make("CartPole-v1")])
    images.observation_space = spaces.Box(0, 255, (3, 36, 36), np.uint8)
    with pytest.raises(ValueError, match="`input_scale_learning_rate` is for flat observations"):
        PPMO("CnnPolicy", images, input_scale_learning_rate=0.01, n_steps=8)
