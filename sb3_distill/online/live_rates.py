"""Step sizes as attributes of a model: a number, a schedule or its text, which may be set at any time."""

from stable_baselines3.common.type_aliases import Schedule

from sb3_distill.outer_loop.rates import FOLLOWING_RATES, schedule, step_sizes
from sb3_distill.typing import Rate


class HasRates:
    """A model with ``learning_rate``, and a rate for each key of ``FOLLOWING_RATES`` (``None`` to follow it)."""

    learning_rate: float | Schedule
    labels_learning_rate: Rate | None
    rates_learning_rate: Rate | None
    log_std_learning_rate: Rate | None
    critic_learning_rate: Rate | None
    encoder_learning_rate: Rate | None
    input_scale_learning_rate: Rate | None
    lr_schedule: Schedule
    _current_progress_remaining: float
    _scheduled_rate: float | Schedule
    """The ``learning_rate`` that ``lr_schedule`` was made of."""

    def _setup_lr_schedule(self) -> None:
        self._scheduled_rate = self.learning_rate
        self.lr_schedule = schedule(self.learning_rate)

    def _step_sizes(self) -> dict[str, float]:
        """Step sizes by group of parameters, as the rates say now."""
        if self.learning_rate is not self._scheduled_rate:  # somebody has set it while the model lives
            self._setup_lr_schedule()
        progress = max(0.0, self._current_progress_remaining)  # the last rollout may overshoot
        rates = {name: getattr(self, f"{name}_learning_rate") for name in FOLLOWING_RATES}
        return step_sizes(float(self.lr_schedule(progress)), rates, progress)
