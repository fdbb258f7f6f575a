"""
Speed of Atari with the Nature CNN: environment steps per second of `PPMO.learn` (with an encoder, half precision or not) and
of SB3's PPO with the same settings, in turns; the time of an iteration of full distillation in that of reinforcement learning
by the same code, whose actor and critic share a features extractor or have one each, as in full distillation; and how long
it takes to teach a policy from ten instances.

    python benchmarks/speed/atari_speed.py [--steps 2048] [--rounds 3] [--threads 2]
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch as th
from rich.console import Console
from rich.table import Table
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.policies import ActorCriticCnnPolicy
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack, VecNormalize

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.results import write
from sb3_distill import PPMO, DistilledPolicy, make_vec_env
from sb3_distill.environments.atari.vec_env import AtariVecEnv
from sb3_distill.environments.plugins import import_plugin
from sb3_distill.typing import Json

GAME = "CentipedeNoFrameskip-v4"
N_ENVS = 8
SETTINGS: Json = dict(n_steps=128, batch_size=256, n_epochs=4, ent_coef=0.01, clip_range=0.1, seed=0)
ALL = 5


def ours(encoder_layers: int, autocast_dtype: str | None, share: bool = True) -> PPMO:
    env = VecNormalize(make_vec_env(GAME, N_ENVS, seed=0, vec_env_cls=AtariVecEnv), norm_obs=False)
    settings: Json = dict(n_instances=10, n_learners=1, encoder_layers=encoder_layers, autocast_dtype=autocast_dtype)
    return PPMO("CnnPolicy", env, **settings, **SETTINGS, policy_kwargs=dict(share_features_extractor=share))


def theirs() -> PPO:
    env: VecEnv = VecFrameStack(make_atari_env(GAME, N_ENVS, seed=0), 4)
    return PPO("CnnPolicy", VecNormalize(env, norm_obs=False), device="cpu", **SETTINGS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2048, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    th.set_num_threads(options.threads)
    import_plugin(GAME)
    models: dict[str, PPMO | PPO] = {
        "SB3 PPO": theirs(),
        "PPMO, l = all": ours(ALL, None),
        "PPMO, l = all, bfloat16": ours(ALL, "bfloat16"),
        "PPMO, l = all, a CNN each": ours(ALL, None, share=False),
        "PPMO, l = all, a CNN each, bfloat16": ours(ALL, "bfloat16", share=False),
        "PPMO, l = 4, bfloat16": ours(4, "bfloat16"),
        "PPMO, full, bfloat16": ours(0, "bfloat16"),
        "PPMO, full": ours(0, None),
    }
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(options.rounds + 1):
        for name, model in models.items():
            start = time.perf_counter()
            model.learn(options.steps, reset_num_timesteps=False)
            if turn:  # the first one warms up
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    full = models["PPMO, full"]
    assert isinstance(full, PPMO)
    dataset = full.dataset
    untaught = ActorCriticCnnPolicy(dataset.info.observation_space, dataset.info.action_space, lambda _: 0.0)
    teach = {}
    for name, policy in (("build and teach", None), ("teach a policy that is there", untaught)):
        taken = []
        for seed in range(7):
            start = time.perf_counter()
            DistilledPolicy.from_dataset(dataset, policy, seed=seed, device="cpu")
            taken.append(time.perf_counter() - start)
        teach[name] = statistics.median(taken)
    ratios = {"steps/s of PPMO (l = all, bfloat16) over SB3": medians["SB3 PPO"] / medians["PPMO, l = all, bfloat16"]}
    for precision in ("", ", bfloat16"):
        for kind in (", a CNN each", ""):
            ratio = medians[f"PPMO, full{precision}"] / medians[f"PPMO, l = all{kind}{precision}"]
            ratios[f"iteration, full over RL{kind}{precision}"] = ratio
    write(
        "atari_speed",
        {"threads": options.threads, "steps": options.steps, "seconds": seconds, "teach_seconds": teach, "ratios": ratios},
    )
    table = Table(title=f"{GAME}, {N_ENVS} environments, 4 epochs, {options.threads} threads, {options.rounds} turns")
    table.add_column("")
    table.add_column("steps/s", justify="right")
    for name, value in medians.items():
        table.add_row(name, f"{options.steps / value:.0f}")
    for name, value in ratios.items():
        table.add_row(name, f"{value:.2f}")
    for name, value in teach.items():
        table.add_row(f"{name}, k = {dataset.n_instances}", f"{1000 * value:.0f} ms")
    Console().print(table)


if __name__ == "__main__":
    main()
