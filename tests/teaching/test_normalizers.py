"""Who normalises: every way from a dataset to an environment, with every VecNormalize that may stand there."""

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers import simplex_dataset
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecCheckNan,
    VecEnvWrapper,
    VecExtractDictObs,
    VecFrameStack,
    VecNormalize,
)

from sb3_distill import PPMO, DistilledPolicy, SyntheticDataset, evaluate_learners, make_vec_env
from sb3_distill.dagger import DAgger, Expert, clone
from sb3_distill.dataset.normalization import Normalization, normalization_in
from sb3_distill.environments.vec_normalize import normalization_of, normalizer_of, raw_observations
from sb3_distill.teaching.normalizers import check_replacement, difference, let_normalize

SMALL = dict(n_steps=32, n_epochs=1, n_instances=8, seed=0, normalize=False)


def raw(n_envs=4):
    return make_vec_env("Pendulum-v1", n_envs, seed=1)


def seen(env, n_steps=3):
    env.reset()
    for _ in range(n_steps):
        env.step(np.zeros((env.num_envs, 1), dtype=np.float32))
    return env


def twice(env):
    return VecNormalize(VecCheckNan(VecNormalize(env)))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of normalised observations, and one of raw ones: models and their zips."""
    folder = tmp_path_factory.mktemp("runs")
    models = {}
    for name, env in (("normalised", VecNormalize(raw())), ("raw", raw())):
        models[name] = PPMO("MlpPolicy", env, **SMALL).learn(256)
        models[name].save(folder / f"{name}.zip")
    return models, folder


WAYS = {
    "to_algorithm": lambda model, path, env: DistilledPolicy.from_dataset(model.dataset, seed=0).to_algorithm(PPO, env),
    "initial_dataset": lambda model, path, env: PPMO(
        "MlpPolicy", env, initial_dataset=model.dataset, n_steps=32, normalize=False
    ),
    "set_env": lambda model, path, env: PPMO.load(path).set_env(env),
    "clone": lambda model, path, env: clone(
        Expert(model.policy, VecNormalize(raw(1))),
        env,
        64,
        initial_dataset=model.dataset,
        n_steps=8,
        n_updates=1,
        normalize=False,
    ),
}
"""What refuses an environment that normalises otherwise."""


@pytest.mark.parametrize("way", WAYS)
def test_what_stands_there_is_what_the_dataset_saw_or_is_refused(runs, way):
    models, folder = runs

    def use(name, env):
        return WAYS[way](models[name], folder / f"{name}.zip", env)

    with pytest.raises(ValueError, match="2 VecNormalize normalise the observations one after the other"):
        use("normalised", twice(raw()))
    with pytest.raises(ValueError, match=r"is not the one of the dataset \(their statistics differ by .* fresh VecNormalize"):
        use("normalised", seen(VecNormalize(raw())))
    with pytest.raises(ValueError, match="made without normalised observations: leave out the VecNormalize"):
        use("raw", VecNormalize(raw()))
    with pytest.raises(ValueError, match="leave out norm_obs=False"):
        use("normalised", VecNormalize(raw(), norm_obs=False))
    fresh = VecNormalize(raw())
    use("normalised", fresh)
    assert difference(models["normalised"].dataset.info.normalization, normalization_of(fresh)) is None
    use("normalised", VecNormalize(fresh, norm_obs=False))  # for rewards only
    use("raw", VecNormalize(raw(), norm_obs=False))


def test_an_environment_of_raw_observations(runs):
    models, folder = runs
    for use in (
        lambda: PPMO("MlpPolicy", raw(), initial_dataset=models["normalised"].dataset, normalize=False),
        lambda: PPMO.load(folder / "normalised.zip", env=raw()),
        lambda: PPMO.load(folder / "normalised.zip").set_env(raw()),
    ):
        with pytest.raises(ValueError, match="made with normalised observations: put the environment into a VecNormalize"):
            use()
    with pytest.raises(ValueError, match="made without normalised observations"):
        PPMO.load(folder / "raw.zip", env=VecNormalize(raw()))


def test_a_model_that_is_loaded_into_other_statistics_says_so(runs, tmp_path):
    folder = runs[1]
    far = VecNormalize(raw())
    far.obs_rms.mean, far.obs_rms.count = far.obs_rms.mean + 3, 1e4
    with pytest.warns(UserWarning, match="VecNormalize of the environment is not the one of the dataset"):
        PPMO.load(folder / "normalised.zip", env=far)
    # Saved in the middle of a rollout: the environment has seen more than the dataset.
    env = VecNormalize(raw())
    model = PPMO("MlpPolicy", env, **SMALL).learn(128)
    seen(env, 8)
    model.save(tmp_path / "model.zip")
    env.save(str(tmp_path / "vecnormalize.pkl"))
    PPMO.load(tmp_path / "model.zip", env=VecNormalize.load(str(tmp_path / "vecnormalize.pkl"), raw()))


def test_parameters_come_with_their_normalisation(runs):
    models, folder = runs
    for one, other in (("normalised", "raw"), ("raw", "normalised")):
        for parameters in (folder / f"{one}.zip", models[one].get_parameters()):
            with pytest.raises(ValueError, match=r"sees .* observations, the dataset of this model sees .*: load the model"):
                PPMO.load(folder / f"{other}.zip").set_parameters(parameters)
        loaded = PPMO.load(folder / f"{one}.zip")
        loaded.set_parameters(folder / f"{one}.zip")
    other = PPMO("MlpPolicy", seen(VecNormalize(raw()), 9), **{**SMALL, "seed": 3}).learn(128)
    with pytest.warns(UserWarning, match="parameters are those of a dataset with another normalisation"):
        other.set_parameters(folder / "normalised.zip")
    fresh = PPMO("MlpPolicy", VecNormalize(raw()), **SMALL)
    fresh.set_parameters(models["normalised"].get_parameters())
    assert difference(models["normalised"].dataset.info.normalization, normalization_of(fresh.get_env())) is None
    with pytest.raises(ValueError, match="put the environment into a VecNormalize"):
        PPMO("MlpPolicy", raw(), **SMALL).set_parameters(folder / "normalised.zip")


def test_parameters_of_an_older_version_say_nothing(runs):
    models, _ = runs
    state = dict(models["raw"].dataset.state_dict())
    assert normalization_in(state) == (False, None)
    parameters = {**models["raw"].get_parameters(), "dataset": state}
    PPMO.load(runs[1] / "normalised.zip").set_parameters(parameters)


def test_other_keys_are_another_normalisation():
    one, other = np.zeros(2), np.ones(2)
    ours = Normalization({"a": one}, {"a": other})
    with pytest.raises(ValueError, match=r"another normalisation \(keys \['a'\] instead of \['b'\]\): load the model"):
        check_replacement(ours, Normalization({"b": one}, {"b": other}))
    assert difference(Normalization(one, other), Normalization(np.zeros(3), np.ones(3))) == "statistics of another shape"
    assert "clip_obs is 10 instead of 3" in str(difference(Normalization(one, other, 3.0), Normalization(one, other)))
    assert difference(ours, None) == "it does not normalise what the network sees"


class Parts(DummyVecEnv):
    """Two parts, of which either may be normalised."""

    def __init__(self):
        import gymnasium as gym

        class Env(gym.Env):
            part = spaces.Box(-9, 9, (2,), np.float32)
            observation_space, action_space = spaces.Dict(a=part, b=part), spaces.Discrete(2)

            def reset(self, *, seed=None, options=None):
                super().reset(seed=seed)
                self.t = 0
                return self.see(), {}

            def see(self):
                return {"a": self.np_random.normal(4, 2, 2).astype(np.float32), "b": np.ones(2, dtype=np.float32)}

            def step(self, action):
                self.t += 1
                return self.see(), 1.0, False, self.t >= 8, {}

        super().__init__([Env] * 4)


def test_statistics_of_some_keys():
    dataset = PPMO("MultiInputPolicy", VecNormalize(Parts(), norm_obs_keys=["a"]), **SMALL).learn(128).dataset
    policy = DistilledPolicy.from_dataset(dataset, seed=0)
    for use in (
        lambda env: PPMO("MultiInputPolicy", env, initial_dataset=dataset, n_steps=32),
        lambda env: policy.to_algorithm(PPO, env),
    ):
        for keys in (["b"], ["a", "b"]):
            with pytest.raises(ValueError, match=r"made with 'a' normalised, .* give it norm_obs_keys=\['a'\]"):
                use(VecNormalize(Parts(), norm_obs_keys=keys))
        use(VecNormalize(Parts(), norm_obs_keys=["a"]))
    # The learners' statistics may be of other keys than the agent's.
    agent = PPO("MultiInputPolicy", VecNormalize(Parts(), norm_obs_keys=["a"]), n_steps=8, batch_size=8, device="cpu")
    expert = Expert(agent.policy, seen_parts := agent.get_vec_normalize_env())
    assert seen_parts is not None
    env = VecNormalize(Parts(), norm_obs_keys=["a", "b"])
    model = clone(expert, env, 64, policy="MultiInputPolicy", n_steps=8, n_updates=1, batch_size=16)
    assert sorted(model.dataset.info.normalization.mean) == ["a", "b"]


def test_one_part_of_what_is_normalised():
    env = VecExtractDictObs(VecNormalize(Parts(), norm_obs_keys=["a"]), "a")
    dataset = PPMO("MlpPolicy", env, **SMALL).learn(128).dataset
    assert dataset.info.normalization.mean.shape == (2,)
    assert abs(dataset.info.normalization.mean.mean() - 4) < 1
    assert normalization_of(VecExtractDictObs(VecNormalize(Parts(), norm_obs_keys=["a"]), "b")) is None


def test_what_is_normalised_must_be_what_is_shown():
    class Halved(VecFrameStack):
        """Changes observations, as no wrapper that is known here."""

        def __init__(self, venv):
            super().__init__(venv, 1)
            self.observation_space = spaces.Box(-9, 9, (1,))

    with pytest.raises(
        ValueError, match=r"normalised in shape \(3,\) and leave the environment as \(1,\): put the VecNormalize"
    ):
        normalization_of(Halved(VecNormalize(raw())))


def test_the_one_that_normalises_observations_is_found_inside_of_another():
    env = VecNormalize(raw())
    outer = VecNormalize(env, norm_obs=False)
    assert normalizer_of(outer) is env
    assert normalizer_of(raw()) is None
    model = PPMO("MlpPolicy", outer, **SMALL).learn(128)
    np.testing.assert_array_equal(model.dataset.info.normalization.mean, env.obs_rms.mean)
    agent = PPO("MlpPolicy", raw(1), n_steps=8, batch_size=8, device="cpu")
    cloned = DAgger("MlpPolicy", outer, Expert(agent.policy), n_steps=8, n_updates=1, batch_size=16).learn(32)
    raw_ones = cloned._raw_observations()
    np.testing.assert_allclose(env.normalize_obs(raw_ones), cloned._last_obs)


def test_evaluation_sees_through_a_vecnormalize():
    for name in ("Pendulum-v1", "MountainCar-v0"):
        dataset = SyntheticDataset.load(name)

        def returns(wrap, dataset=dataset, name=name):
            return evaluate_learners(dataset, 2, 2, True, env=lambda n: wrap(make_vec_env(name, n))).returns

        wanted = returns(lambda env: env)
        for wrap in (VecNormalize, twice, lambda env: VecCheckNan(VecNormalize(env, norm_obs=False))):
            np.testing.assert_array_equal(returns(wrap), wanted)


def test_what_shows_raw_observations_is_as_before_afterwards():
    env = seen(VecNormalize(raw()))
    count, mean = env.obs_rms.count, env.obs_rms.mean.copy()
    with raw_observations(env):
        np.testing.assert_array_equal(env.reset(), env.get_original_obs())
    assert (env.training, env.norm_obs, env.norm_reward, env.obs_rms.count) == (True, True, True, count)
    np.testing.assert_array_equal(env.obs_rms.mean, mean)


def test_folded_statistics_and_a_vecnormalize_would_be_twice(runs):
    policy = DistilledPolicy.from_dataset(runs[0]["normalised"].dataset, seed=0)
    with pytest.raises(ValueError, match="with fold_normalization the model takes observations as they are"):
        policy.to_algorithm(PPO, VecNormalize(raw()), fold_normalization=True)
    policy.to_algorithm(PPO, VecNormalize(raw(), norm_obs=False), fold_normalization=True)


def test_a_run_without_statistics_settles_on_nothing():
    env = VecNormalize(raw())
    let_normalize(env, None, is_settled=False)
    assert env.obs_rms.count < 1


def test_masks_reach_a_policy_that_takes_them():
    dataset = simplex_dataset(2, 10.0)
    observations = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    masks = np.tile(np.arange(4) == 2, (6, 1))
    policy = DistilledPolicy.from_dataset(dataset, policy=MaskablePPO.policy_aliases["MlpPolicy"], seed=0)
    for deterministic in (True, False):
        assert (policy.predict(observations, deterministic=deterministic, action_masks=masks)[0] == 2).all()
    assert len(set(policy.predict(observations * 9, deterministic=True)[0].tolist())) > 1
    with pytest.raises(ValueError, match="a ActorCriticPolicy takes no `action_masks`: teach MaskablePPO's policy"):
        DistilledPolicy.from_dataset(dataset, seed=0).predict(observations, action_masks=masks)
    assert th.is_tensor(policy.action_net.weight)


class Shown(VecEnvWrapper):
    """Shows observations times a factor."""

    def __init__(self, venv, factor):
        super().__init__(venv)
        self.factor = factor

    def reset(self):
        return self.factor * self.venv.reset()

    def step_wait(self):
        observations, *others = self.venv.step_wait()
        return self.factor * observations, *others


def test_a_wrapper_that_changes_what_was_normalised_is_refused():
    with pytest.raises(ValueError, match="Shown changes observations after they were normalised: put the VecNormalize"):
        PPMO("MlpPolicy", Shown(VecNormalize(raw()), 2.0), **SMALL).learn(128)
    for harmless in (
        Shown(VecNormalize(raw()), 1.0),
        VecNormalize(Shown(raw(), 2.0)),
        Shown(VecNormalize(raw(), norm_obs=False), 2.0),
        Shown(VecFrameStack(VecNormalize(raw()), 2), 1.0),
    ):
        PPMO("MlpPolicy", harmless, **SMALL).learn(128)
