"""
The whole path in under a minute: distil 2-D cart-pole into three instances, then teach 100 fresh networks in one step each.

    python examples/demo.py            # writes demo/cartpole2d.safetensors and demo/cartpole2d.png
"""

import argparse
import time
from pathlib import Path

import torch as th
from stable_baselines3.common.utils import LinearSchedule

from sb3_distill import PPMO, DistilledPolicy, evaluate_learners, make_vec_env
from sb3_distill.cli import print_evaluations
from sb3_distill.report.pictures import show


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timesteps", type=int, default=2_400_000, help="environment steps of the distillation")
    parser.add_argument("--output", type=Path, default=Path("demo"), help="folder for the dataset and its picture")
    options = parser.parse_args()
    th.set_num_threads(1)  # small networks are fastest so

    print("Distilling 2-D cart-pole (8 observations, 4 actions) into 3 labelled instances:")
    env = make_vec_env("NDCartPole2D-v0", n_envs=256, seed=0)
    settings = dict(
        n_instances=3,
        n_learners=64,
        n_epochs=1,
        batch_size=2048,
        gamma=0.995,
        weight_decay=0.2,
        seed=0,
        normalize=False,
        ent_coef=0.0,
    )
    rates = dict(learning_rate=0.03, labels_learning_rate=0.075, rates_learning_rate=0.075, critic_learning_rate=0.0075)
    falling = {name: LinearSchedule(rate, 0.0, 1.0) for name, rate in rates.items()}
    model = PPMO("MlpPolicy", env, **settings, **falling)
    start = time.perf_counter()
    model.learn(options.timesteps, progress_bar=True)
    print(f"{options.timesteps:,} steps in {time.perf_counter() - start:.0f} s")

    path = options.output / "cartpole2d.safetensors"
    model.dataset.save(path)
    show(model.dataset, path.with_suffix(".png"))
    DistilledPolicy.from_dataset(path)
    start = time.perf_counter()
    DistilledPolicy.from_dataset(path)
    print(f"A fresh 64-64 network, taught in one gradient step: {1000 * (time.perf_counter() - start):.1f} ms\n")

    # Logits of zero choose all actions alike.
    uniform = PPMO("MlpPolicy", env, n_instances=3, inner_learning_rate=1e-6, normalize=False, seed=0).dataset
    evaluations = {
        "random policy": evaluate_learners(uniform, 100, 20),
        "fresh network, untaught, greedy": evaluate_learners(model.dataset, 100, 20, deterministic=True, teach=False),
        "fresh network, taught, sampled": evaluate_learners(model.dataset, 100, 20),
        "fresh network, taught, greedy": evaluate_learners(model.dataset, 100, 20, deterministic=True),
    }
    print_evaluations("100 fresh learners, 20 episodes each (500 is perfect)", evaluations)
    print(f"\ndataset: {path} ({path.stat().st_size} bytes)\npicture: {path.with_suffix('.png')}")


if __name__ == "__main__":
    main()
