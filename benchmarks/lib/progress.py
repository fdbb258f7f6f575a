"""What is noted while a set is learned."""

import copy
import time

from stable_baselines3.common.callbacks import BaseCallback

from sb3_distill import PPMO, SyntheticDataset


class Progress(BaseCallback):
    """
    Prints how learning goes, twenty times, and keeps the dataset as it was when the last 100 episodes were best.

    :param name: name of the run
    :param steps: environment steps of the whole run
    """

    def __init__(self, name: str, steps: int) -> None:
        super().__init__()
        self.name, self.interval, self.start = name, steps / 20, time.perf_counter()
        self.printed_at = 0.0
        self.best: SyntheticDataset | None = None
        self.best_return = -float("inf")
        self.curve: list[tuple[int, float, float]] = []
        """Steps, seconds and mean return of the last 100 episodes."""

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        assert isinstance(self.model, PPMO)
        episodes = self.model.ep_info_buffer
        if not episodes or len(episodes) < (episodes.maxlen or 0):
            return
        mean = sum(episode["r"] for episode in episodes) / len(episodes)
        if mean > self.best_return:
            self.best_return, self.best = mean, copy.deepcopy(self.model.dataset)
        if self.num_timesteps - self.printed_at > self.interval:
            self.printed_at, seconds = self.num_timesteps, time.perf_counter() - self.start
            self.curve.append((self.num_timesteps, round(seconds, 1), round(float(mean), 2)))
            log_std = self.model.dataset.log_std
            std = "" if log_std is None else f", std {float(log_std.detach().exp().mean()):.2f}"
            print(f"{self.name}: {self.num_timesteps:,} steps, {seconds:.0f} s, {mean:.1f}{std}", flush=True)
