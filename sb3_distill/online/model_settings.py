"""Settings as attributes of a model, and what becomes of them when a model is loaded."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Generic, Self, TypeVar, overload

import torch as th
from stable_baselines3.common.type_aliases import GymEnv

from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.dataset.synthetic_dataset import DatasetLike
from sb3_distill.errors import ArgumentError, FixedSettingError
from sb3_distill.learners.distribution import LearnerDistributionLike
from sb3_distill.networks.anatomy import Network
from sb3_distill.outer_loop.defaults import resolve_n_instances
from sb3_distill.outer_loop.regularization import RegularizersLike
from sb3_distill.outer_loop.settings import (
    NAMES,
    Fixed,
    InnerRate,
    Settings,
    inner_loop_of,
    resolve,
)
from sb3_distill.outer_loop.start import Start, find_start, warn_of_unused
from sb3_distill.typing import AutocastDtype, DatasetInit, InnerLoopName, Normalize, Space

T = TypeVar("T")


class Setting(Generic[T]):
    """
    An attribute that reads the resolved setting of its name (before set-up the argument), and cannot be set after set-up.

    :param as_given: whether it always reads the argument
    """

    def __init__(self, as_given: bool = False) -> None:
        self._as_given = as_given

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, model: None, owner: type) -> "Setting[T]": ...

    @overload
    def __get__(self, model: "HasSettings", owner: type) -> T: ...

    def __get__(self, model: "HasSettings | None", owner: type) -> "T | Setting[T]":
        if model is None:
            return self
        is_set_up = "settings" in model.__dict__ and not self._as_given
        value: T = getattr(model.settings if is_set_up else model.arguments, self._name)
        return value

    def __set__(self, model: "HasSettings", value: T) -> None:
        if "settings" in model.__dict__:
            raise FixedSettingError(f"`{self._name}` shapes the dataset or its learners and cannot change: start a new model")
        model.arguments = replace(model.arguments, **{self._name: value})  # type: ignore[arg-type]


class HasSettings:
    """
    A model with ``arguments``, the settings as the user gave them, and ``settings``, the same as they are used. Both are saved
    with the model.
    """

    arguments: Settings
    settings: Settings
    n_instances = Setting[int]()
    n_learners = Setting[int]()
    learner_distribution = Setting[LearnerDistributionLike | None]()
    inner_loop = Setting[InnerLoopName]()
    inner_learning_rate = Setting[InnerRate]()
    inner_rate_per_role = Setting[bool]()
    inner_rate_relative = Setting[bool]()
    carry_strength = Setting[float]()
    n_inner_steps = Setting[int]()
    initial_dataset = Setting[DatasetLike | None](as_given=True)
    dataset_init = Setting[DatasetInit]()
    encoder_layers = Setting[int]()
    encoder_from = Setting[DatasetLike | None](as_given=True)
    autocast_dtype = Setting[AutocastDtype | None]()
    regularizers = Setting[RegularizersLike | None]()
    normalize = Setting[Normalize]()

    observation_space: Space
    action_space: Space
    _is_continued: bool

    @classmethod
    def load(
        cls,
        path: Any,
        env: GymEnv | None = None,
        device: th.device | str = "auto",
        custom_objects: Mapping[str, object] | None = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        **kwargs: Any,
    ) -> Self:
        """
        As SB3's. Settings among ``custom_objects`` are arguments of the model, as if they were given by keyword.

        :raises ValueError: if the environment has other spaces than the one that the model was saved with
        """
        try:
            settings = {name: value for name, value in (custom_objects or {}).items() if name in NAMES}
            return super().load(  # type: ignore[misc, no-any-return]
                path, env, device, custom_objects, print_system_info, force_reset, **{**settings, **kwargs}
            )
        except ValueError as error:
            if "spaces do not match" not in str(error):
                raise
            raise ArgumentError(
                f"{path} was saved with another environment ({error}): load it with its own, or distil this one anew"
            ) from error

    def _resolve_new(self, actor: Network, n_envs: int | None) -> Start:
        """
        Set ``settings`` of a new model.

        :param actor: the actor of a learner
        :param n_envs: number of environments; ``None`` without an environment
        :return: what the run goes on from
        :raises ValueError: if settings are out of range, or do not fit
        """
        start, fixed = find_start(self.arguments, actor), None
        if (continued := start.continued) is not None:
            fixed = Fixed(continued.n_instances, continued.info.inner_loop, continued.encoder_layers)
            warn_of_unused(self.arguments, continued)
        arguments = replace(self.arguments, normalize=self._resolve_normalize(start))
        self.settings = resolve(arguments, self.observation_space, self.action_space, n_envs, fixed)
        self._is_continued = continued is not None
        return start

    def _resolve_normalize(self, start: Start) -> Normalize:
        """
        :param start: what the run goes on from
        :return: what a new model normalises by itself
        """
        return False

    def _resolve_loaded(self, info: DatasetInfo, n_envs: int | None) -> None:
        """
        Set ``arguments`` and ``settings`` of a model whose attributes were just loaded. SB3's ``load`` leaves its keyword
        arguments among them, and version 0.1.0 saved settings as attributes, with numbers already resolved.

        :param info: description of the dataset that was saved
        :param n_envs: number of environments
        :raises ValueError: if an argument of ``load`` would change what the dataset is
        """
        changed = {name: self.__dict__.pop(name) for name in NAMES if name in self.__dict__}
        is_old = "_n_saved" in self.__dict__
        n_saved: int = self.__dict__.pop("_n_saved") if is_old else self.n_instances
        self.__dict__.pop("_shares_features", None)
        if "_goes_on" in self.__dict__:  # its name in version 0.1.0
            self._is_continued = self.__dict__.pop("_goes_on")
        saved, self.arguments = self.arguments, replace(self.arguments, **changed)
        if is_old:
            saved = replace(self.arguments, n_instances=n_saved, encoder_layers=info.encoder_layers)
        now = self.arguments
        if now.n_instances not in (saved.n_instances, n_saved):
            default = resolve_n_instances(None, self.observation_space, self.action_space)
            if now.n_instances is not None or default != n_saved:
                raise ArgumentError(
                    f"`n_instances` cannot change from {n_saved} to {now.n_instances} when a model is loaded: start a new one"
                )
        if now.encoder_layers not in (saved.encoder_layers, info.encoder_layers):
            raise ArgumentError(
                f"`encoder_layers` cannot change from {info.encoder_layers} to {now.encoder_layers} when a model is loaded: "
                "start a new one with `encoder_from`"
            )
        # Models of before have no such setting, whatever its default is now.
        normalize = vars(self.__dict__.get("settings", self.arguments)).get("normalize", False)
        if changed.get("normalize") not in (None, normalize):
            raise ArgumentError(
                f"`normalize` cannot change from {normalize!r} to {changed['normalize']!r} when a model is loaded: "
                "start a new one"
            )
        fixed = Fixed(n_saved, info.inner_loop, info.encoder_layers)
        self.settings = resolve(replace(now, normalize=normalize), self.observation_space, self.action_space, n_envs, fixed)
        if now.initial_dataset is None and now.encoder_from is None:
            relative = self.inner_rate_relative if now.inner_rate_relative is None else now.inner_rate_relative
            asked = inner_loop_of(replace(now, inner_rate_relative=relative, inner_learning_rate=1.0, carry_strength=1.0))
            if any(info.inner_loop.get(name) != value for name, value in asked.settings().items()):
                raise ArgumentError("the inner loop cannot change when a model is loaded: start a new one")
