"""A seed decides everything."""

from functools import partial

import numpy as np
import pytest
import torch as th
from contract import ACTIONS, BOX, ROLLOUT, VECTORS, make, same, spaces_env
from helpers import SMALL, small_env
from stable_baselines3.common.vec_env import SubprocVecEnv, VecNormalize

from sb3_distill import PPMO


def test_two_runs_with_one_seed_are_identical():
    datasets = []
    for _ in range(2):
        model = PPMO("MlpPolicy", small_env(), **SMALL).learn(1024)
        datasets.append(model.dataset.state_dict())
    for name, value in datasets[0].items():
        assert th.equal(value, datasets[1][name])
    other = PPMO("MlpPolicy", small_env(), **{**SMALL, "seed": 1}).learn(1024)
    assert not th.equal(other.dataset.labels, datasets[0]["labels"])


@pytest.mark.parametrize("through_a_zip", [False, True], ids=["straight", "saved_and_loaded"])
@pytest.mark.parametrize(
    "build, kwargs",
    [
        pytest.param(spaces_env, {}, id="DummyVecEnv"),
        pytest.param(lambda: VecNormalize(spaces_env()), {}, id="VecNormalize"),
        pytest.param(partial(spaces_env, VECTORS), {}, id="Dict"),
        pytest.param(partial(spaces_env, BOX, ACTIONS["Box"]), {}, id="Box"),
        pytest.param(partial(spaces_env, BOX, ACTIONS["Box"]), dict(use_sde=True, sde_sample_freq=4), id="gSDE"),
        pytest.param(partial(spaces_env, cls=SubprocVecEnv, start_method="fork"), {}, id="SubprocVecEnv"),
    ],
)
def test_a_seed_decides_everything(build, kwargs, through_a_zip, tmp_path):
    datasets = []
    for run in range(2):
        th.manual_seed(run)
        np.random.seed(run)
        model = make(build(), **kwargs).learn(2 * ROLLOUT)
        if through_a_zip:
            model.save(tmp_path / f"model{run}")
            model.get_env().close()
            th.manual_seed(run)
            np.random.seed(run)
            model = PPMO.load(tmp_path / f"model{run}", env=build())
        model.learn(2 * ROLLOUT, reset_num_timesteps=False)
        model.get_env().close()
        datasets.append(model.dataset.state_dict())
    assert same(*datasets)
