"""
Where the time of PPMO.learn goes, on 2-D cart-pole with 64 environments:

    python benchmarks/speed/profile_learn.py
"""

import cProfile
import pstats
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.results import one_thread, write
from sb3_distill import PPMO, make_vec_env

# Function as the profiler names it, and what it is; indented parts are contained in the one above.
PARTS = {
    "rollout": ("ppmo.py", "collect_rollouts"),
    "  environment": ("vec_monitor.py", "step_wait"),
    "  log-probabilities, values, advantages": ("ppmo.py", "_finish_rollout"),
    "  drawing learners": ("learners.py", "sample"),
    "update": ("ppmo.py", "train"),
    "  teaching": ("dataset.py", "teach"),
    "  backward, through the teaching": ("_tensor.py", "backward"),
    "  minibatches": ("buffers.py", "get"),
    "  critic, forward": ("base.py", "_predict_values"),
    "  optimizers": ("optimizer.py", "wrapper"),
}


def seconds(stats: Mapping[tuple[str, int, str], tuple[int, int, float, float, object]], file: str, function: str) -> float:
    return sum(entry[3] for (path, _, name), entry in stats.items() if path.endswith(file) and name == function)


def main() -> None:
    one_thread()
    model = PPMO("MlpPolicy", make_vec_env("NDCartPole2D-v0", 64), batch_size=2048, seed=0)
    model.learn(30_000)
    profiler = cProfile.Profile()
    profiler.enable()
    model.learn(160_000)
    profiler.disable()
    stats = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    total = seconds(stats, "ppmo.py", "learn")
    shares = {part.strip(): seconds(stats, *where) / total for part, where in PARTS.items()}
    for part, share in zip(PARTS, shares.values(), strict=True):
        print(f"{part:42s} {100 * share:5.1f} %")
    write("profile", {"shares": shares, "note": "cProfile, whose own cost weighs on small functions"})


if __name__ == "__main__":
    main()
