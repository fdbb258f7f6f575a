"""From a dataset to an SB3 policy that acts: one inner loop, no environment."""

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self, SupportsIndex, TypeVar, cast

import gymnasium as gym
import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.common.vec_env import VecNormalize
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs

from sb3_distill.arguments import device_of
from sb3_distill.dataset.facts import HasFacts, facts_of
from sb3_distill.dataset.normalization import Normalization
from sb3_distill.dataset.synthetic_dataset import DatasetLike, SyntheticDataset
from sb3_distill.environments.vec_normalize import normalization_of, normalizer_of
from sb3_distill.errors import ArgumentError, UnsupportedError
from sb3_distill.inner_loop.loop import InnerLoopLike
from sb3_distill.networks.anatomy import takes_argument
from sb3_distill.teaching.acting import as_taught
from sb3_distill.teaching.folding import fold_into_first_layer
from sb3_distill.teaching.normalizers import let_normalize
from sb3_distill.teaching.resolve_policy import check_acts, resolve_policy
from sb3_distill.teaching.teach import build_policy, teach, write_targets
from sb3_distill.typing import Array, RawObservations

GIVEN_BY_ALGORITHMS = ("observation_space", "action_space", "lr_schedule", "use_sde")
Algorithm = TypeVar("Algorithm", bound=BaseAlgorithm)
Policy = TypeVar("Policy", bound="DistilledPolicy")


class DistilledPolicy(HasFacts, BasePolicy):
    """
    An SB3 policy that was taught a dataset; make one with ``from_dataset``.

    It is an instance of its SB3 class too, and ``predict`` takes raw observations of the environment. All other methods
    are SB3's and see what the network sees, that is normalised observations where the dataset was made with them.
    """

    dataset: SyntheticDataset
    origin: tuple[type[BasePolicy], dict[str, Any]]
    """The SB3 class, and the arguments it was made with."""
    taught_class: ClassVar[type[BasePolicy] | None] = None
    """The same class, for the class of a taught policy."""

    @classmethod
    def from_dataset(
        cls,
        dataset: DatasetLike,
        policy: str | type[BasePolicy] | BasePolicy | None = None,
        policy_kwargs: Mapping[str, Any] | None = None,
        seed: int | None = None,
        device: th.device | str = "auto",
        inner_loop: InnerLoopLike | None = None,
    ) -> Self:
        """
        Initialise a policy and teach it (line 3 of Algorithm 1 of Wilhelm & Ventura 2025).

        :param dataset: a dataset, a path that ends in ``.safetensors``, or the name of a shipped set
        :param policy: an alias, a class, or an untrained policy, of which a copy is taught; ``None`` for the policy that
            the dataset names
        :param policy_kwargs: arguments of the policy; not with an instance
        :param seed: of the initialisation; ``None`` draws from torch's global generator
        :param device: of the policy
        :param inner_loop: another way of teaching than the dataset's, see ``SyntheticDataset.with_inner_loop``
        :return: the policy, both a ``DistilledPolicy`` and of its SB3 class, in evaluation mode
        :raises FileNotFoundError: if there is no such dataset
        :raises DatasetError: if the dataset cannot be loaded, or does not fit the policy
        :raises ValueError: for an unknown alias, or arguments together with an instance
        :raises TypeError: for a policy that cannot be taught (recurrent, unknown kind)
        """
        device = device_of(device)
        # A copy, since a dataset that is still being learned changes.
        dataset = copy.deepcopy(SyntheticDataset.of(dataset)).to(device)
        dataset = dataset if inner_loop is None else dataset.with_inner_loop(inner_loop)
        check_acts(dataset)
        if isinstance(policy, BasePolicy):
            if policy_kwargs is not None:
                raise ArgumentError("`policy_kwargs` must not be given together with a policy instance")
            dataset.check_spaces(policy.observation_space, policy.action_space, "policy")
            if getattr(policy, "use_sde", False):
                with th.no_grad():  # noise with a gradient cannot be copied
                    getattr(policy, "reset_noise")()  # noqa: B009  (not every policy has it)
            taught, kwargs = copy.deepcopy(policy).to(device), policy._get_constructor_parameters()
            if isinstance(taught, DistilledPolicy):
                taught.__class__ = taught.origin[0]  # type: ignore[assignment]
        else:
            policy_class, kwargs = resolve_policy(dataset, policy, policy_kwargs)
            taught = build_policy(policy_class, dataset, kwargs, seed).to(device)
        teach(taught, dataset)
        taught.__dict__.update(origin=(type(taught), kwargs), dataset=dataset)
        return _become(cls, taught)

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[object, ...]:
        """Pickled and copied as an object of its SB3 class, since its class here is made on the fly."""
        bare = object.__new__(self.origin[0])
        bare.__dict__.update(self.__dict__)
        return _become, (type(self).__bases__[0], bare)

    @classmethod
    def load(cls, path: object, device: th.device | str = "auto") -> NoReturn:
        """
        :raises TypeError: always: a file of the policy would not have the normalisation
        """
        raise UnsupportedError(
            "a saved policy is loaded by its SB3 class, without the normalisation of the dataset: save the dataset instead, "
            "and make the policy with DistilledPolicy.from_dataset(dataset, seed=...)"
        )

    def predict(
        self,
        observation: RawObservations | VecEnvObs,
        state: tuple[Array, ...] | None = None,
        episode_start: Array | None = None,
        deterministic: bool = False,
        action_masks: Array | None = None,
    ) -> tuple[Array, tuple[Array, ...] | None]:
        """
        As SB3's ``predict``, on raw observations of the environment. What follows their normalisation is the policy's way to
        act, since its class may have one of its own.

        :param action_masks: actions that are allowed, for a policy whose own ``predict`` takes them (``MaskablePPO``)
        :raises ValueError: if the observation has another shape than the dataset was made for, or the policy takes no masks
        :raises FloatingPointError: if it has NaN in it
        """
        observations = cast(RawObservations, observation)  # the type of SB3 has tuples, which no policy takes
        observations = as_taught(self.dataset, observations, self.observation_space)
        masks = {} if action_masks is None else {"action_masks": action_masks}
        if masks and not self.takes_masks:
            raise ArgumentError(
                f"a {self.origin[0].__name__} takes no `action_masks`: teach MaskablePPO's policy, "
                "from_dataset(..., policy=MaskablePPO.policy_aliases['MlpPolicy']), or let evaluate_learners ask for them"
            )
        return super().predict(observations, state, episode_start, deterministic, **masks)  # type: ignore[arg-type]

    @property
    def takes_masks(self) -> bool:
        """Whether ``predict`` takes ``action_masks``."""
        return takes_argument(self.origin[0].predict, "action_masks")

    def facts(self) -> dict[str, object]:
        """What is to be known of the policy and the dataset that it was taught, by name."""
        n_parameters = sum(value.numel() for value in self.parameters())
        facts = {**facts_of(self.dataset.info, self.dataset.n_instances), "policy": self.origin[0].__name__}
        return {**facts, "parameters": n_parameters, "device": str(self.device)}

    def export(self, path: str | os.PathLike[str]) -> list[Path]:
        """
        Write the deterministic action as a program that needs neither this package nor Stable-Baselines3. Normalisation of
        raw observations, scaling of pixels and clipping of actions are inside. A batch has any size; images have their
        channels first.

        :param path: path of the program: ``*.onnx`` for ONNX, ``*.pt2`` for a program of ``torch.export``; without such an
            ending both are written, beside each other
        :return: paths of the files
        :raises ImportError: for ONNX, without the packages of the extra ``export``
        :raises ValueError: for another ending
        :raises TypeError: for a policy whose action cannot be exported
        """
        from sb3_distill.teaching.export import export  # which imports parts of torch that take a second

        return export(self, path)

    def to_algorithm(
        self, algorithm: type[Algorithm], env: GymEnv | str, fold_normalization: bool = False, **kwargs: Any
    ) -> Algorithm:
        """
        An SB3 model that starts from this policy and can ``learn`` on, or ``save``.

        :param algorithm: an SB3 algorithm that uses this kind of policy, e.g. ``PPO``
        :param env: the environment, as the algorithm takes it; it is put into a ``VecNormalize`` with the stored
            statistics where the dataset was made with normalised observations. One that is in a ``VecNormalize`` already
            must be fresh, or have these statistics
        :param fold_normalization: put these statistics into the first linear layers instead (clipping is lost), so that
            the model takes raw observations; only where ``folding.can_fold``
        :param kwargs: further arguments of the algorithm
        :return: the model
        :raises ValueError: if the algorithm has another kind of policy, or the environment another normalisation
        """
        policy_class, policy_kwargs = self.origin
        normalization = self.dataset.info.normalization
        if not any(issubclass(policy_class, base) for base in _bases(algorithm)):
            alias = self.dataset.info.policy if self.dataset.info.policy in algorithm.policy_aliases else "MlpPolicy"
            raise ArgumentError(
                f"{algorithm.__name__} does not use a {policy_class.__name__}: teach one of its own, "
                f"from_dataset(..., policy={algorithm.__name__}.policy_aliases[{alias!r}])"
            )
        stored = None if normalization is None else normalization.with_scale_in_variance()
        env = _normalized(algorithm, env, stored, normalization is not None and fold_normalization)
        # What the algorithm gives to its policy itself; and a copy, since some write into it.
        policy_kwargs = copy.deepcopy({key: value for key, value in policy_kwargs.items() if key not in GIVEN_BY_ALGORITHMS})
        if self.origin[1].get("use_sde"):
            kwargs.setdefault("use_sde", True)
        model = algorithm(policy_class, env, policy_kwargs=policy_kwargs, **kwargs)
        self.dataset.check_spaces(model.observation_space, model.action_space, in_order=True)
        # An algorithm may have another number of critics (DDPG: one), which were not taught anyway.
        fresh, taught = model.policy.state_dict(), self.state_dict()
        model.policy.load_state_dict({**fresh, **{key: value for key, value in taught.items() if key in fresh}})
        if normalization is not None and fold_normalization:
            fold_into_first_layer(model.policy, normalization)
            write_targets(model.policy)
        return model


def _become(cls: type[Policy], policy: BasePolicy) -> Policy:
    """
    A policy turns into a ``DistilledPolicy`` by a class that adds methods only. The alternatives were rejected: a policy
    around a policy would be of another class than algorithms ask for, and a rebuilt one would draw other parameters.
    """
    bare = type(policy)

    def new(_: type, *args: Any, **kwargs: Any) -> BasePolicy:
        return bare(*args, **kwargs)  # whoever calls the class wants such a network, which nobody has taught yet

    content = {"__module__": cls.__module__, "__new__": new, "taught_class": bare}
    policy.__class__ = type(f"Distilled{bare.__name__}", (cls, bare), content)
    assert isinstance(policy, cls)
    return policy


def _bases(algorithm: type[BaseAlgorithm]) -> set[type[BasePolicy]]:
    """The classes that an algorithm's policies share: the most general one of each alias below SB3's base classes."""
    general = (BasePolicy, object)
    return {
        next(base for base in reversed(policy.__mro__) if issubclass(base, BasePolicy) and base not in general)
        for policy in algorithm.policy_aliases.values()
    }


def _normalized(
    algorithm: type[BaseAlgorithm], env: GymEnv | str, normalization: Normalization | None, is_folded: bool
) -> GymEnv:
    """The environment behind the normalisation that the policy was taught with."""
    if isinstance(env, str):
        env = gym.make(env)
    wrapped = algorithm._wrap_env(env, verbose=0)
    if is_folded and normalization_of(wrapped) is not None:
        raise ArgumentError(
            "with fold_normalization the model takes observations as they are: leave out the VecNormalize, or give it "
            "norm_obs=False"
        )
    if not is_folded and normalization is not None and normalizer_of(wrapped) is None:
        wrapped = VecNormalize(
            wrapped,
            norm_reward=False,
            clip_obs=normalization.clip,
            epsilon=normalization.epsilon,
            norm_obs_keys=list(normalization.mean) if isinstance(normalization.mean, dict) else None,
        )
    let_normalize(wrapped, None if is_folded else normalization)
    return wrapped
