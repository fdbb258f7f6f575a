"""
Where the time of PPMO.learn goes, on 2-D cart-pole with 64 environments, in shares of the wall time under cProfile:

    python benchmarks/speed/profile_learn.py
"""

import argparse
import cProfile
import inspect
import pkgutil
import pstats
import sys
from pathlib import Path
from types import FunctionType

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.results import one_thread, write
from sb3_distill import PPMO, make_vec_env

# Each part, and where its function is imported from; indented parts are contained in the one above.
PARTS = {
    "rollout": "sb3_distill.ppmo:PPMO.collect_rollouts",
    "  environment": "sb3_distill.environments.gymnasium_vec_env:GymnasiumVecEnv.step_wait",
    "  log-probabilities, values, advantages": "sb3_distill.ppmo:PPMO._finish_rollout",
    "  drawing learners": "sb3_distill.learners.distribution:LearnerSampler.sample",
    "update": "sb3_distill.ppmo:PPMO.train",
    "  teaching": "sb3_distill.dataset:SyntheticDataset.teach",
    "  backward, through the teaching": "torch:Tensor.backward",
    "  minibatches": "sb3_distill.ppmo.buffers:LearnerRolloutBuffer.get",
    "  critic, forward": "sb3_distill.ppmo.critic:Critic.__call__",
    "  optimizers": "torch.optim:Adam.step",
}


def function_at(part: str, place: str) -> FunctionType:
    """
    :param part: name of the part
    :param place: "module:qualified name"
    :return: the function, without its decorators
    :raises SystemExit: if there is none
    """
    try:
        function = inspect.unwrap(pkgutil.resolve_name(place))
    except (ImportError, AttributeError) as error:
        raise SystemExit(f"{part.strip()}: {place} has moved ({error}); correct it in PARTS of {__file__}") from error
    if not inspect.isfunction(function):
        raise SystemExit(f"{part.strip()}: {place} is not a function, but {function!r}; correct it in PARTS of {__file__}")
    return function


def seconds_in(stats: pstats.Stats, part: str, function: FunctionType) -> float:
    """
    :param stats: what a profiler has recorded
    :param part: name of the part
    :param function: function of the part
    :return: seconds in the function and in what it calls
    :raises SystemExit: if it was not called
    """
    code = function.__code__
    entry = stats.stats.get((code.co_filename, code.co_firstlineno, code.co_name))  # type: ignore[attr-defined]
    if entry is None:
        raise SystemExit(f"{part.strip()}: {function.__qualname__} was not called; correct it in PARTS of {__file__}")
    return float(entry[3])


def shares_of(functions: dict[str, FunctionType], steps: int) -> dict[str, float]:
    """
    :param functions: function of each part
    :param steps: environment steps that are profiled
    :return: share of each part in the wall time of ``learn``
    """
    settings = dict(n_instances=3, batch_size=2048, ent_coef=0.0, normalize=False, seed=0)
    model = PPMO("MlpPolicy", make_vec_env("NDCartPole2D-v0", 64), **settings)  # type: ignore[arg-type]
    model.learn(steps // 5)
    profiler = cProfile.Profile()
    profiler.runcall(model.learn, steps)
    stats = pstats.Stats(profiler)
    total = seconds_in(stats, "learn", function_at("learn", "sb3_distill.ppmo:PPMO.learn"))
    return {part: seconds_in(stats, part, function) / total for part, function in functions.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=160_000)
    options = parser.parse_args()
    one_thread()
    shares = shares_of({part: function_at(part, place) for part, place in PARTS.items()}, options.steps)
    for part, share in shares.items():
        print(f"{part:42s} {100 * share:5.1f} %")
    named = {part.strip(): share for part, share in shares.items()}
    write("profile", {"shares": named, "note": "cProfile, whose own cost weighs on small functions"})


if __name__ == "__main__":
    main()
