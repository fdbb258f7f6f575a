"""Settings of the cart-pole tasks, and a distillation with them."""

import time

from stable_baselines3.common.type_aliases import MaybeCallback, Schedule
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from sb3_distill import PPMO, make_vec_env
from sb3_distill.typing import Json

# Chosen on the seeds 0 to 2. More axes need a wider trust region, more steps, and instances kept smaller.
SETTINGS: Json = dict(n_steps=128, batch_size=2048, n_epochs=1, gamma=0.995, n_learners=64, ent_coef=0.0, normalize=False)
# Step sizes, all of which fall linearly to zero.
RATES = dict(learning_rate=0.03, labels_learning_rate=0.075, rates_learning_rate=0.075, critic_learning_rate=0.0075)
BY_AXES: dict[int, Json] = {
    1: dict(steps=350_000, weight_decay=0.1, n_steps=32, batch_size=512, gamma=0.98),
    2: dict(steps=2_400_000, weight_decay=0.2),
    3: dict(steps=4_000_000, weight_decay=0.5, clip_range=0.3),
    4: dict(steps=5_500_000, weight_decay=0.5, clip_range=0.4),
    5: dict(steps=6_500_000, weight_decay=0.5, clip_range=0.4),
    10: dict(steps=16_000_000, weight_decay=0.5, clip_range=0.4),
}
N_ENVS = 256


def annealed(rate: float) -> Schedule:
    """A step size that falls linearly to zero."""
    return lambda progress_remaining: rate * progress_remaining


def distil(
    n_dims: int,
    seed: int,
    steps: int | None = None,
    progress_bar: bool = False,
    normalize: bool = False,
    callback: MaybeCallback = None,
    **changes: object,
) -> tuple[PPMO, float]:
    """
    :param n_dims: number of axes
    :param seed: seed of environments, learners and dataset
    :param steps: number of environment steps; ``None`` for the tuned number
    :param normalize: whether observations are normalised; their statistics travel with the dataset
    :param callback: callbacks of ``learn``
    :param changes: arguments of ``PPMO`` instead of the settings here
    :return: the model after training, and the seconds from constructing ``PPMO`` to the end of ``learn``
    """
    settings = {**SETTINGS, **BY_AXES[n_dims], "n_instances": n_dims + 1, **changes}
    tuned_steps = settings.pop("steps")
    settings |= {name: annealed(rate) for name, rate in RATES.items() if name not in changes}
    env: VecEnv = make_vec_env(f"NDCartPole{n_dims}D-v0", N_ENVS, seed=seed)
    env = VecNormalize(env, norm_reward=False) if normalize else env
    start = time.perf_counter()
    model = PPMO("MlpPolicy", env, seed=seed, **settings)
    model.learn(tuned_steps if steps is None else steps, callback, progress_bar=progress_bar)
    return model, time.perf_counter() - start
