"""Names in the log stay apart in SB3's table, which cuts them."""

import pytest
from stable_baselines3.common.logger import HumanOutputFormat

from sb3_distill import PPMO, make_vec_env
from sb3_distill.inner_loop import GradientSteps
from sb3_distill.outer_loop.figures import LONGEST_NAME, short_names


@pytest.mark.parametrize("per_role", [False, True])
@pytest.mark.parametrize("n_steps", [1, 2, 12, 200])
def test_rates_of_gradient_steps_fit_as_they_are(n_steps, per_role):
    loop = GradientSteps(n_steps, 0.1, per_role)
    names = list(loop.rates(loop.initial_parameters()))
    assert len(set(names)) == n_steps * (6 if per_role else 1)
    assert short_names(names) == names


def test_names_of_other_loops_keep_their_ends():
    names = [f"a_number_with_a_very_long_name_of_step_{i}" for i in range(20)] + ["short"]
    shortened = short_names(names)
    assert len(set(shortened)) == 21
    assert max(map(len, shortened)) <= LONGEST_NAME
    assert shortened[19].startswith("a_number")
    assert shortened[19].endswith("step_19")
    assert shortened[20] == "short"


def test_names_that_differ_in_the_middle_are_numbered():
    names = [f"{'a' * 20}{middle}{'b' * 40}" for middle in "xyz"]
    shortened = short_names(names)
    assert len(set(shortened)) == 3
    assert max(map(len, shortened)) <= LONGEST_NAME


def test_a_table_of_many_rates_is_printed(tmp_path):
    env = make_vec_env("NDCartPole1D-v0", 4)
    model = PPMO("MlpPolicy", env, n_steps=8, n_epochs=1, seed=0, n_inner_steps=11, inner_rate_per_role=True)
    model.learn(32)
    values = {f"train/{name}": value for name, value in model.dataset.inner_loop.rates(model.dataset.learned).items()}
    table = HumanOutputFormat(str(tmp_path / "log.txt"))
    table.write(values, {name: () for name in values})
    table.close()
    assert "inner_rate_10_output_biases" in (tmp_path / "log.txt").read_text()
