"""The environment of a model, or the model itself, normalises as the dataset of the model was made to see."""

import io
import os
import pathlib
from collections.abc import Mapping
from typing import Any, cast

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.type_aliases import GymEnv, TensorDict
from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_normalize

from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.dataset.normalization import Normalization, normalization_in
from sb3_distill.environments.foreign.copies import copied
from sb3_distill.environments.vec_normalize import (
    check_shown,
    continue_return_variance,
    normalization_of,
    normalized_space,
    normalizer_of,
    real_space,
    return_variance_of,
)
from sb3_distill.errors import ArgumentError
from sb3_distill.online import description
from sb3_distill.online.model_settings import HasSettings
from sb3_distill.online.normalizing.choice import check_not_twice
from sb3_distill.online.setup import HasParts
from sb3_distill.teaching.normalizers import DRIFT, TOLERANCE, Moved, check_replacement, difference, let_normalize
from sb3_distill.typing import Rate, Space
from sb3_distill.whole_files import write_zip


class HasStatistics(HasSettings, HasParts, BaseAlgorithm):
    """A model whose environment and dataset must agree on the normalisation of observations, or that normalises by itself."""

    dataset_info: DatasetInfo
    input_scale_learning_rate: Rate | None
    _is_continued: bool

    def set_env(self, env: GymEnv, force_reset: bool = True) -> None:
        """
        As SB3's.

        :raises ValueError: if the environment shows observations that are normalised otherwise than the dataset saw them
        """
        venv = self._wrap_env(env, self.verbose)
        if venv.observation_space == self.observation_space:  # else SB3 has a message
            self._let_normalize(venv, is_loaded=False)
        super().set_env(venv, force_reset)

    def set_parameters(
        self,
        load_path_or_dict: str | os.PathLike[str] | io.BufferedIOBase | TensorDict,
        exact_match: bool = True,
        device: Any = "auto",
    ) -> None:
        """
        As SB3's.

        :raises ValueError: if they are those of a dataset that was made with normalised observations and the one of this
            model was not, or the other way round
        """
        parameters = load_path_or_dict
        if not isinstance(parameters, dict):
            parameters = load_from_zip_file(cast(str, parameters), device=device, load_data=False)[1]
        is_told, normalization = normalization_in(cast("Mapping[str, object]", parameters.get("dataset", {})))
        if is_told:
            self._take_normalization(normalization)
        super().set_parameters(parameters, exact_match, device)

    def _take_normalization(self, normalization: Normalization | None) -> None:
        """
        :param normalization: that of a dataset whose parameters take the place of ours
        """
        if self.normalizer.is_on:
            ours = self.normalizer.normalization
            if ours is None or normalization is None:
                check_replacement(ours, normalization)
            self.normalizer.continue_from(normalization, None)  # the statistics of a model follow, if it has some
            self.dataset.set_normalization(normalization)
        elif self._is_continued or self.dataset_info.timesteps > 0:
            check_replacement(self.dataset_info.normalization, normalization)
        else:
            if self.env is not None:
                let_normalize(self.env, normalization)
            self.dataset.set_normalization(normalization)

    def save(self, path: str | pathlib.Path | io.BufferedIOBase, *args: Any, **kwargs: Any) -> None:
        """As SB3's; a file appears whole or not at all."""
        self._saved_normalization = None if self.env is None else normalization_of(self.env)
        if isinstance(path, io.BufferedIOBase):
            super().save(path, *args, **kwargs)
        else:
            save = super().save
            write_zip(pathlib.Path(path), lambda content: save(content, *args, **kwargs))

    def _setup_learn(self, *args: Any, **kwargs: Any) -> tuple[int, BaseCallback]:
        before = self._last_obs
        prepared = super()._setup_learn(*args, **kwargs)
        assert self.env is not None and self._last_obs is not None
        check_shown(self.env, self._last_obs)
        if self._last_obs is not before:  # the environments were reset
            self.normalizer.start(copied(self._last_obs), is_new=self.num_timesteps == 0)
        return prepared

    @property
    def _space_of_learners(self) -> Space:
        """The space of observations as learners see them."""
        if self.normalizer.obs_rms is not None:
            return real_space(self.observation_space)
        return normalized_space(self.observation_space, None if self.env is None else normalizer_of(self.env))

    def _describe(self, timesteps: int) -> None:
        """
        Bring the description of the dataset up to date.

        :param timesteps: steps of all environments since then
        """
        self.dataset.info.timesteps += timesteps
        if self.normalizer.is_on:
            self.dataset.set_normalization(self.normalizer.normalization)
            self.dataset.info.return_variance = self.normalizer.return_variance
        elif self.env is not None:
            self.dataset.set_normalization(normalization_of(self.env))
            self.dataset.info.return_variance = return_variance_of(unwrap_vec_normalize(self.env))

    def _let_normalize(self, env: VecEnv | None, is_loaded: bool) -> None:
        """
        :param env: the environment; its ``VecNormalize`` may go on from the statistics of the dataset
        :param is_loaded: whether the model was just loaded. Saved between two updates, it had seen more than its dataset
        """
        info = self.dataset_info
        if self.normalizer.is_on:
            self._normalize_inside(env)
        elif env is not None:
            saved = self.__dict__.pop("_saved_normalization", None)
            expected, tolerance = info.normalization, DRIFT if is_loaded and saved is None else TOLERANCE
            if saved is not None and expected is not None and is_loaded and difference(saved, normalization_of(env)) is None:
                expected = saved
            moved: Moved = "warn" if is_loaded else "refuse"
            let_normalize(env, expected, self._is_continued or info.timesteps > 0, moved, tolerance)
            continue_return_variance(unwrap_vec_normalize(env), info.return_variance)
        if self.input_scale_learning_rate is not None and self.normalizer.obs_rms is None:
            description.check_normalized(env)

    def _normalize_inside(self, env: VecEnv | None) -> None:
        """
        :param env: the environment, which must not normalise too
        """
        info = self.dataset_info
        self.__dict__.pop("_saved_normalization", None)  # there is none outside
        if env is not None:
            check_not_twice(env, self.settings.normalize or False)
        if info.normalization is not None and self.normalizer.obs_rms is None:
            raise ArgumentError(
                f"the dataset was made with normalised observations, and normalize={self.settings.normalize!r} leaves them: "
                "give normalize=True, or put the environment into a VecNormalize instead"
            )
        self.normalizer.continue_from(info.normalization, info.return_variance)
