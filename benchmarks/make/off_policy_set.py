"""
Make ``Pendulum-v1/off-policy``, the set that teaches the actors of SAC, TD3, DDPG, TQC and CrossQ: wide ReLU networks with
PyTorch's default initialisation; then score the actors of SAC and TD3, 50 of each, 10 episodes, greedy.

    python benchmarks/make/off_policy_set.py
"""

import sys
import time
from pathlib import Path

from stable_baselines3 import SAC, TD3
from stable_baselines3.common.vec_env import VecNormalize

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.results import DATASETS, one_thread, write
from sb3_distill import PPMO, evaluate_learners, make_vec_env
from sb3_distill.typing import Json

LEARNERS = {"init": "pytorch", "width": [256, 400], "activation": "relu"}


def main() -> None:
    one_thread()
    env = VecNormalize(make_vec_env("Pendulum-v1", 32, seed=0), gamma=0.9)
    start = time.perf_counter()
    rates: Json = dict(learning_rate="lin_0.01", labels_learning_rate="lin_0.05", log_std_learning_rate=0.003)
    settings: Json = dict(
        inner_loop="ridge", learner_distribution=LEARNERS, n_instances=64, gamma=0.9, n_steps=128, n_epochs=8
    )
    model = PPMO("MlpPolicy", env, seed=0, **settings, **rates)
    model.learn(130_000)
    result: Json = {"seconds": time.perf_counter() - start, "steps": model.num_timesteps}
    actors = {
        algorithm.__name__: {"policy": algorithm.policy_aliases["MlpPolicy"], "policy_kwargs": {}} for algorithm in (SAC, TD3)
    }
    for name, component, greedy in (("sampled", LEARNERS, False), *((*actor, True) for actor in actors.items())):
        evaluation = evaluate_learners(model.dataset, 50, 10, greedy, learner_distribution=component, max_envs=50, seed=1)
        result[name] = evaluation.summary()
        print(f"{name}: {evaluation.mean:.1f} +- {evaluation.std:.1f}", flush=True)
    model.dataset.info.scores = {name: result[name] for name in ("sampled", *actors)}
    model.dataset.save(DATASETS / "Pendulum-v1--off-policy.safetensors")
    write("off_policy_set", result)


if __name__ == "__main__":
    main()
