"""A policy as a program of PyTorch or ONNX acts as ``predict`` does."""

import logging
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3 import DQN, SAC, TD3
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from torch.distributions import Distribution

from sb3_distill import PPMO, DistilledPolicy
from sb3_distill.errors import MissingExtraError, UnsupportedError

BOX = spaces.Box(-1, 1, (3,))
IMAGE = spaces.Box(0, 255, (1, 36, 36), np.uint8)
ACTIONS = {
    "discrete": spaces.Discrete(3),
    "multi_discrete": spaces.MultiDiscrete([2, 3]),
    "multi_binary": spaces.MultiBinary(3),
    "box": spaces.Box(np.array([-0.02, -3.0], np.float32), np.array([0.02, 0.01], np.float32)),
    "box of rank 2": spaces.Box(-0.02, 0.02, (2, 2)),
}
OBSERVATIONS = {
    "box": BOX,
    "discrete": spaces.Discrete(4),
    "multi_discrete": spaces.MultiDiscrete([2, 3]),
    "multi_binary": spaces.MultiBinary(3),
    "image": IMAGE,
    "dict": spaces.Dict({"vector": BOX, "image": IMAGE, "choice": spaces.Discrete(3)}),
}


class Anything(gym.Env):
    """An environment of any spaces, in which nothing matters."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, False, False, {}


def taught(observation_space, action_space, normalize=False, policy=None, **kwargs):
    """A policy that was taught a dataset nobody has learned."""
    env = DummyVecEnv([lambda: Anything(observation_space, action_space)])
    env.action_space.seed(0)
    observation_space.seed(0)
    if normalize:
        keys = ["vector"] if isinstance(observation_space, spaces.Dict) else None
        env = VecNormalize(env, norm_obs_keys=keys, clip_obs=0.5)
        env.reset()
        for _ in range(5):
            env.step(np.stack([action_space.sample()]))
    name = "MlpPolicy"
    if isinstance(observation_space, spaces.Dict):
        name = "MultiInputPolicy"
    elif len(observation_space.shape or ()) == 3:
        name = "CnnPolicy"
    model = PPMO(name, env, n_steps=8, seed=0, n_instances=8, **kwargs)
    with th.no_grad():
        model.dataset.labels.mul_(30)  # actions of which some are at a bound
    if normalize:
        model.learn(1)
    return DistilledPolicy.from_dataset(model.dataset, policy, seed=0, device="cpu")


def batch_of(space, n):
    space.seed(1)
    samples = [space.sample() for _ in range(n)]
    if isinstance(space, spaces.Dict):
        return {key: np.stack([sample[key] for sample in samples]) for key in space.spaces}
    return np.stack(samples)


def check(policy, tmp_path, name="agent"):
    """Both programs act as the policy does, on batches of several sizes."""
    has_onnx = onnx_is_here()
    files = policy.export(tmp_path / (name if has_onnx else f"{name}.pt2"))
    program = th.export.load(tmp_path / f"{name}.pt2").module()
    for n in (1, 2, 7):
        observation = batch_of(policy.observation_space, n)
        expected, _ = policy.predict(observation, deterministic=True)
        is_dict = isinstance(observation, dict)
        tensors = {key: th.as_tensor(x) for key, x in observation.items()} if is_dict else th.as_tensor(observation)
        action = program(tensors).numpy()
        assert action.dtype == expected.dtype
        np.testing.assert_allclose(action, expected, rtol=1e-5, atol=1e-6)
        if has_onnx:
            import onnxruntime

            session = onnxruntime.InferenceSession(str(tmp_path / f"{name}.onnx"))
            inputs = observation if is_dict else {"observation": observation}
            names = {value.name for value in session.get_inputs()}
            (action,) = session.run(["action"], {key: value for key, value in inputs.items() if key in names})
            assert action.dtype == expected.dtype
            np.testing.assert_allclose(action, expected, rtol=1e-4, atol=1e-5)
    assert {file.name for file in tmp_path.iterdir()} == {file.name for file in files}
    return expected


def onnx_is_here():
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("name", ACTIONS)
def test_every_kind_of_action(name, tmp_path):
    action = check(taught(BOX, ACTIONS[name]), tmp_path)
    if "box" in name:
        assert np.isin(action, [ACTIONS[name].low, ACTIONS[name].high]).any()


@pytest.mark.slow
@pytest.mark.parametrize("name", OBSERVATIONS)
def test_every_kind_of_observation(name, tmp_path):
    check(taught(OBSERVATIONS[name], ACTIONS["box"]), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["box", "dict"])
def test_normalization_is_inside(name, tmp_path):
    policy = taught(OBSERVATIONS[name], ACTIONS["box"], normalize=True)
    assert policy.dataset.info.normalization is not None
    check(policy, tmp_path)


@pytest.mark.slow
def test_weights_of_observations_are_inside(tmp_path):
    policy = taught(BOX, ACTIONS["box"], normalize=True, input_scale_learning_rate=0.1)
    assert policy.dataset.info.normalization.scale is not None
    check(policy, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm, actions", [(DQN, "discrete"), (SAC, "box"), (TD3, "box")])
def test_policies_of_other_algorithms(algorithm, actions, tmp_path):
    policy = taught(BOX, ACTIONS[actions], policy=algorithm.policy_aliases["MlpPolicy"], inner_loop="ridge")
    check(policy, tmp_path)


@pytest.mark.slow
def test_squashed_actions_of_gsde(tmp_path):
    kwargs = {"policy_kwargs": {"squash_output": True}, "use_sde": True}
    check(taught(BOX, ACTIONS["box"], **kwargs), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["NDCartPole2D-v0/wide", "Ant-v4", "PongNoFrameskip-v4/l3"])
def test_shipped_sets(name, tmp_path):
    check(DistilledPolicy.from_dataset(name, seed=0, device="cpu"), tmp_path)


def test_a_program_needs_neither_this_package_nor_sb3(tmp_path):
    policy = DistilledPolicy.from_dataset("NDCartPole1D-v0", seed=0, device="cpu")
    (path,) = policy.export(tmp_path / "folder" / "agent.pt2")
    observation = np.array([[0.1, 0.2, -0.3, 0.4]], np.float32)
    code = f"""
import sys, torch
action = torch.export.load({str(path)!r}).module()(torch.tensor({observation.tolist()}))
assert not {{"sb3_distill", "stable_baselines3"}} & set(sys.modules)
print(action.item())
"""
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert int(result.stdout) == policy.predict(observation, deterministic=True)[0].item()


def test_nothing_of_the_process_or_the_policy_changes(tmp_path):
    policy = DistilledPolicy.from_dataset("NDCartPole1D-v0", seed=0, device="cpu")
    before = Distribution._validate_args, logging.getLogger("torch.onnx").level, th.get_rng_state()
    policy.export(tmp_path / "agent.pt2")
    after = Distribution._validate_args, logging.getLogger("torch.onnx").level, th.get_rng_state()
    assert before[:2] == after[:2]
    assert before[2].equal(after[2])
    assert all(value.requires_grad for value in policy.parameters())


def test_without_the_extra_onnx_is_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    policy = DistilledPolicy.from_dataset("NDCartPole1D-v0", seed=0)
    with pytest.raises(MissingExtraError, match=r'pip install "sb3-distill\[export\]"'):
        policy.export(tmp_path / "agent.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name, message", [("agent.pth", r"\*\.onnx or \*\.pt2"), ("folder.pt2", "add a name")])
def test_other_paths_are_refused(name, message, tmp_path):
    (tmp_path / "folder.pt2").mkdir()
    policy = DistilledPolicy.from_dataset("NDCartPole1D-v0", seed=0)
    with pytest.raises(ValueError, match=message):
        policy.export(tmp_path / name)


class Stubborn(ActorCriticPolicy):
    """Looks at numbers before it decides, which a graph cannot."""

    def _predict(self, observation, deterministic=False):
        return observation[:, 0].long() if observation.sum().item() > 0 else observation[:, 1].long()


def test_an_action_that_python_decides_is_refused_in_a_sentence(tmp_path):
    policy = DistilledPolicy.from_dataset("NDCartPole1D-v0", Stubborn, seed=0)
    with pytest.raises(UnsupportedError, match="DistilledStubborn cannot be exported by PyTorch: ."):
        policy.export(tmp_path / "agent.pt2")
    assert list(tmp_path.iterdir()) == []
