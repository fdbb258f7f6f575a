"""
PPO from a distilled start against PPO from scratch: environment steps until an evaluation on CartPole-v1 reaches 475.

    python benchmarks/studies/warm_start.py
"""

import statistics
import sys
from pathlib import Path

import stable_baselines3 as sb3
from stable_baselines3.common.callbacks import EvalCallback, StopTrainingOnRewardThreshold
from stable_baselines3.common.env_util import make_vec_env

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.results import one_thread, write
from benchmarks.lib.score import mean_return
from sb3_distill import DistilledPolicy
from sb3_distill.typing import Json

# From scratch with rl-zoo's fast settings too; learning on from a good start with SB3's defaults, whose rate is smaller: the
# critic starts untrained, and large steps on its first advantages would undo what was taught.
FAST: Json = dict(n_steps=32, batch_size=256, n_epochs=20, gamma=0.98, gae_lambda=0.8, learning_rate=1e-3, device="cpu")
DEFAULTS: Json = dict(device="cpu")
GOAL = 475.0
SEEDS = range(5)


def steps_to_goal(model: sb3.PPO, seed: int) -> int:
    """Environment steps before the first evaluation (20 episodes, each 1,000 steps) at the goal, 0 if that is the start."""
    env = make_vec_env("CartPole-v1", 20, seed=1000 + seed)
    if mean_return(model, env, 20) >= GOAL:
        return 0
    reached = StopTrainingOnRewardThreshold(GOAL, verbose=0)
    callback = EvalCallback(env, callback_on_new_best=reached, eval_freq=1000 // model.n_envs, n_eval_episodes=20, verbose=0)
    model.learn(200_000, callback=callback)
    return model.num_timesteps


def returns_while_learning(model: sb3.PPO, seed: int, steps: int = 100_000) -> list[float]:
    """Greedy evaluations before and after ``steps`` more: learning on must not spoil the start."""
    env = make_vec_env("CartPole-v1", 20, seed=2000 + seed)
    before = mean_return(model, env, 20)
    model.learn(steps)
    return [before, mean_return(model, env, 20)]


def main() -> None:
    one_thread()
    scratch: dict[str, list[int]] = {"fast": [], "defaults": []}
    distilled, kept = [], []
    for seed in SEEDS:
        env = make_vec_env("CartPole-v1", 8, seed=seed)
        for name, settings in (("fast", FAST), ("defaults", DEFAULTS)):
            scratch[name].append(steps_to_goal(sb3.PPO("MlpPolicy", env, seed=seed, **settings), seed))
        # The shipped set of the same physics: CartPole-v1 is 1-D cart-pole.
        policy = DistilledPolicy.from_dataset("NDCartPole1D-v0", seed=seed)
        distilled.append(steps_to_goal(policy.to_algorithm(sb3.PPO, env, seed=seed, **DEFAULTS), seed))
        kept.append(returns_while_learning(policy.to_algorithm(sb3.PPO, env, seed=seed, **DEFAULTS), seed))
        print(f"seed {seed}: {distilled[-1]} steps from the distilled start; before and after 100,000 more: {kept[-1]}")
    for name, steps in scratch.items():
        print(f"median steps to {GOAL} from scratch ({name}): {statistics.median(steps)}")
    print(f"median steps to {GOAL} from the distilled start: {statistics.median(distilled)}")
    write(
        "warm_start",
        {"goal": GOAL, "from_scratch": scratch, "from_distilled": distilled, "before_and_after_100000_steps": kept},
    )


if __name__ == "__main__":
    main()
