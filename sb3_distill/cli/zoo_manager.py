"""rl-zoo's experiment manager with native vector environments; imported where rl-zoo is installed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from rl_zoo3 import exp_manager
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor

from sb3_distill.cli.parsing import check_hyperparameters
from sb3_distill.environments.make import fastest_class, has_native_vector_env, make_native
from sb3_distill.outer_loop.rates import schedule
from sb3_distill.typing import Env, Json

ALGORITHM = "ppmo"
"""Name of PPMO in the zoo."""
RATES = ("learning_rate", "clip_range", "clip_range_vf")
"""Arguments of which the zoo takes any text for a linear schedule."""
Preprocessed: TypeAlias = tuple[Json, Callable[..., Env] | None, list[BaseCallback], Callable[..., VecEnv] | None]
"""Hyperparameters, wrappers of single and of vector environments, and callbacks between them."""


class NativeManager(exp_manager.ExperimentManager):  # type: ignore[misc,unused-ignore]
    """Steps an environment of PPMO natively where nothing speaks against it, and checks hyperparameters."""

    def _preprocess_hyperparams(self, hyperparams: Json) -> Preprocessed:
        if self.algo != ALGORITHM:
            result: Preprocessed = super()._preprocess_hyperparams(hyperparams)
        else:
            result = super()._preprocess_hyperparams({key: _numeric(key, value) for key, value in hyperparams.items()})
            if hyperparams.get("normalize") is not None:  # the zoo takes it out; without one PPMO chooses
                result[0]["normalize"] = False
            check_hyperparameters(result[0], f"{self.config} or in -params")
        if self._eval_env_kwargs_args is None:
            # The zoo gives `env_kwargs` of a YAML file to the training environment alone.
            self.eval_env_kwargs = self.env_kwargs
        return result

    def create_envs(self, n_envs: int, eval_env: bool = False, no_log: bool = False) -> VecEnv:
        """The zoo's environments, with its default class replaced by the fastest one."""
        env_id, wanted = self.env_name.gym_id, self.vec_env_class
        if self.algo == ALGORITHM and wanted is DummyVecEnv:
            plain = self.env_wrapper is None and not self.monitor_kwargs
            if plain and has_native_vector_env(env_id):
                with _replaced(exp_manager, "make_vec_env", _native_maker(env_id, n_envs)):
                    return self._create(n_envs, eval_env, no_log)
            with _replaced(self, "vec_env_class", fastest_class(env_id, n_envs) or wanted):
                return self._create(n_envs, eval_env, no_log)
        return self._create(n_envs, eval_env, no_log)

    def _create(self, n_envs: int, eval_env: bool, no_log: bool) -> VecEnv:
        env: VecEnv = super().create_envs(n_envs, eval_env, no_log)
        return env


def _native_maker(env_id: str, n_envs: int) -> Callable[..., VecEnv]:
    """A function that stands in for SB3's ``make_vec_env``, as the zoo calls it."""

    def make(*_: object, seed: int | None, env_kwargs: Json, monitor_dir: str | None, **__: object) -> VecEnv:
        env = VecMonitor(make_native(env_id, n_envs, env_kwargs), monitor_dir and f"{monitor_dir}/0")
        env.seed(seed)
        return env

    return make


@contextmanager
def _replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """An attribute has another value for a while: the zoo has no argument for it."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _numeric(key: str, value: object) -> object:
    """YAML reads ``1e-3`` as text; and the zoo takes any text for a schedule, as linear."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        pass
    if key in RATES:
        schedule(value)
    return value
