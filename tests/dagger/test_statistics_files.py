"""Statistics that lie with an agent, wherever its makers put them."""

import pytest

from sb3_distill.dagger.expert import statistics_beside

ZOO = """!!python/object/apply:collections.OrderedDict
- - - n_envs
    - 1
  - - normalize
    - {value}
  - - policy
    - MlpPolicy
"""


def files(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    "agent, env_id, statistics, others",
    [
        ("Hop-v3.zip", "Hop-v4", "Hop-v3/vecnormalize.pkl", ()),
        ("Hop-v3.zip", None, "Hop-v3/vecnormalize.pkl", ()),
        ("Hop-v3.zip", "Hop", "Hop-v3/vecnormalize.pkl", ("Run-v1/vecnormalize.pkl", "Run-v1.zip")),
        ("best_model.zip", "Hop-v4", "Hop-v3/vecnormalize.pkl", ("Hop-v3.zip",)),
        ("best_model.zip", "module:Hop", "Hop-v3/vecnormalize.pkl", ("Run-v1/vecnormalize.pkl", "Run-v1.zip", "Hop-v3.zip")),
        ("rl_model_500_steps.zip", "Hop-v3", "rl_model_vecnormalize_500_steps.pkl", ("Hop-v3/vecnormalize.pkl",)),
        ("ppo-Hop-v3.zip", "Hop-v3", "vec_normalize.pkl", ()),
        ("ppo-Hop-v3.zip", None, "Hop-v3/vecnormalize.pkl", ()),
        ("agent.zip", "dm_control/hop-v0", "dm_control-hop-v0/vecnormalize.pkl", ()),
        ("agent.zip", "Hop-v3", "vecnormalize.pkl", ()),
    ],
)  # fmt: skip
def test_where_they_lie(tmp_path, agent, env_id, statistics, others):
    files(tmp_path, agent, statistics, *others)
    assert statistics_beside(tmp_path / agent, env_id) == tmp_path / statistics


def test_those_of_another_agent_are_left(tmp_path):
    files(tmp_path, "Hop-v3.zip", "Run-v1/vecnormalize.pkl", "Run-v1.zip")
    assert statistics_beside(tmp_path / "Hop-v3.zip", "Hop-v4") is None
    assert statistics_beside(tmp_path / "nowhere" / "agent.zip") is None


def test_of_several_folders_none_is_guessed(tmp_path):
    files(tmp_path, "best_model.zip", "Hop-v3/vecnormalize.pkl", "Hop-v4/vecnormalize.pkl")
    with pytest.raises(ValueError, match=r"several folders beside .*\(Hop-v3, Hop-v4\): say which belong"):
        statistics_beside(tmp_path / "best_model.zip", "Hop-v5")


@pytest.mark.parametrize(
    "value, is_normalized",
    [
        ("true", True), ("false", False), ("null", False), ("'{''norm_obs'': True, ''norm_reward'': False}'", True),
        ("'{''norm_obs'': False, ''norm_reward'': True}'", False), ("dict(norm_obs=False, norm_reward=True)", False),
        ("norm_obs: false\n      norm_reward: true", False), ("norm_obs: true\n      norm_reward: true", True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("place, agent", [("Hop-v3", "best_model.zip"), ("Hop-v3", "Hop-v3.zip"), (".", "agent.zip")])
def test_what_rl_zoo_says_counts(tmp_path, value, is_normalized, place, agent):
    files(tmp_path, agent, f"{place}/args.yml")
    (tmp_path / place / "config.yml").write_text(ZOO.format(value=value))
    if not is_normalized:
        assert statistics_beside(tmp_path / agent, "Hop-v4") is None
        return
    with pytest.raises(
        ValueError, match=r"config.yml says that the agent was trained on normalised observations, and there is"
    ):
        statistics_beside(tmp_path / agent, "Hop-v4")
    files(tmp_path, f"{place}/vecnormalize.pkl")
    assert statistics_beside(tmp_path / agent, "Hop-v4") == tmp_path / place / "vecnormalize.pkl"


def test_files_that_say_nothing(tmp_path):
    files(tmp_path, "best_model.zip", "Hop-v3/args.yml")
    (tmp_path / "Hop-v3" / "args.yml").write_text("algo: ppo\nnormalize_advantage: true\n")
    assert statistics_beside(tmp_path / "best_model.zip", "Hop-v3") is None
    (tmp_path / "Hop-v3" / "config.yml").write_text("n_envs: 4\nnormalize: true\n")
    with pytest.raises(ValueError, match="config.yml says"):
        statistics_beside(tmp_path / "best_model.zip", "Hop-v3")


def test_a_comment_says_nothing(tmp_path):
    (tmp_path / "Hop-v3").mkdir()
    (tmp_path / "Hop-v3" / "config.yml").write_text("# normalize: true\nn_envs: 4\n")
    (tmp_path / "Hop-v3.zip").touch()
    assert statistics_beside(tmp_path / "Hop-v3.zip") is None
