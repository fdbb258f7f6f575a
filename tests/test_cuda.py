"""A GPU does what the processor does; none of it runs where there is none."""

import pytest
import torch as th
from stable_baselines3.common.env_util import make_vec_env as sb3_make_vec_env
from stable_baselines3.common.envs import FakeImageEnv

from sb3_distill import PPMO, DistilledPolicy, SyntheticDataset, evaluate_learners, make_vec_env

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not th.cuda.is_available(), reason="needs CUDA")]

SMALL = dict(n_steps=32, batch_size=128, n_epochs=1, n_learners=2, seed=0)


def cartpole():
    return make_vec_env("CartPole-v1", 4, seed=0)


def images():
    kwargs = dict(screen_height=36, screen_width=36, n_channels=1, discrete=True)
    env = sb3_make_vec_env(FakeImageEnv, 4, env_kwargs=kwargs)
    for i, space in enumerate(env.get_attr("observation_space")):
        space.seed(i)
    return env


KINDS = [
    ("MlpPolicy", cartpole, {}),
    ("MlpPolicy", cartpole, dict(inner_loop="ridge")),
    ("MlpPolicy", cartpole, dict(n_inner_steps=2, learner_distribution="wide")),
    ("MlpPolicy", cartpole, dict(encoder_layers=1)),
    ("MlpPolicy", cartpole, dict(learner_distribution="wide", regularizers=dict(group_dro=0.1, dropout=0.3, agreement=0.3))),
    ("MlpPolicy", cartpole, dict(regularizers=dict(cvar=0.5, init_noise=0.1, inner_noise=0.1, step_noise=0.5))),
    ("CnnPolicy", images, {}),
    ("CnnPolicy", images, dict(encoder_layers=3)),
    ("CnnPolicy", images, dict(encoder_layers=5)),
]


@pytest.mark.parametrize("policy, env, kwargs", KINDS)
def test_an_update_is_that_of_the_cpu(policy, env, kwargs):
    def learned(device, n):
        model = PPMO(policy, env(), device=device, **SMALL, **kwargs)
        before = th.cat([value.detach().flatten().cpu() for value in model.dataset.parameters()])
        after = model.learn(n).dataset
        assert all(value.device.type == device for value in after.parameters())
        return th.cat([value.detach().flatten().cpu() for value in after.parameters()]) - before

    own, known = learned("cuda", 128), learned("cpu", 128)
    assert (own - known).norm() < 0.1 * known.norm()


def test_files_travel(tmp_path):
    model = PPMO("MlpPolicy", cartpole(), device="cuda", **SMALL).learn(128)
    model.save(tmp_path / "model")
    model.dataset.save(tmp_path / "set.safetensors")
    on_cpu = PPMO.load(tmp_path / "model", cartpole(), device="cpu")
    assert on_cpu.dataset.labels.device.type == "cpu"
    assert on_cpu.dataset.labels.equal(model.dataset.labels.cpu())
    on_cpu.learn(128, reset_num_timesteps=False)
    assert SyntheticDataset.load(tmp_path / "set.safetensors", "cuda").labels.equal(model.dataset.labels)


def test_learners_play_alike():
    """Single precision: an action now and then is another one."""
    scores = [evaluate_learners("CartPole-v1", 20, 5, True, device=device).mean for device in ("cpu", "cuda")]
    assert scores[1] == pytest.approx(scores[0], abs=15)
    policy = DistilledPolicy.from_dataset("CartPole-v1", device="cuda")
    assert policy.device.type == "cuda"
    assert policy.predict(cartpole().reset())[0].shape == (4,)


def test_half_precision():
    model = PPMO("CnnPolicy", images(), device="cuda", autocast_dtype="bfloat16", encoder_layers=4, **SMALL).learn(256)
    assert model.dataset.is_finite()
    assert model.dataset.labels.dtype == th.float32
