"""Teaching an SB3 policy in place."""

import inspect
import itertools
from collections.abc import Mapping
from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.utils import ConstantSchedule
from torch import nn

from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.errors import MisfitError
from sb3_distill.learners.population import Learners
from sb3_distill.networks.action_distribution import make_action_distribution
from sb3_distill.networks.anatomy import Network, actor_of, share_statistics, squashes
from sb3_distill.networks.stacked import StackedNetwork, stack_parameters, write_parameters


def teach(policy: BasePolicy, dataset: SyntheticDataset) -> None:
    """
    Teach a policy in place.

    A policy that squashes its outputs by a tanh gets labels in units of half the width of the action space, so that for
    small actions it does what one without a tanh would do.

    :param policy: an untrained policy
    :param dataset: what to teach it
    :raises DatasetError: if the policy's last layer has another width than the labels, or does not squash outputs as it must
    :raises TypeError: for a policy that cannot be taught
    """
    actor = actor_of(policy)
    check_squashing(dataset, policy)
    policy.set_training_mode(False)
    layers, rest = _put_in_encoder(actor, dataset)
    share_statistics(actor, {name: value.clone() for name, value in dataset.statistics.items()})
    labels: th.Tensor = dataset.labels
    found = getattr(actor.head, "out_features", labels.shape[1])
    if found != labels.shape[1]:
        raise MisfitError(f"the policy has {found} outputs, the labels of the dataset have {labels.shape[1]}")
    with th.no_grad():
        half_width = th.ones(labels.shape[1], device=labels.device)
        made_squashed = dataset.info.policy_kwargs.get("squash_output", False)  # then labels are before a tanh already
        if squashes(policy) and isinstance(policy.action_space, spaces.Box) and not made_squashed:
            low, high = (
                th.as_tensor(end.flatten(), device=labels.device)
                for end in (policy.action_space.low, policy.action_space.high)
            )
            half_width, centre = (high - low) / 2, (low + high) / 2
            labels = (labels - centre) / half_width
            if rest is None:  # then the last layer is the encoder's, and says what the labels would
                head: Any = actor.head
                head.weight.div_(half_width.unsqueeze(1))
                head.bias.sub_(centre).div_(half_width)
        if rest is not None:
            own = {name: value.to(labels.device) for name, value in stack_parameters([rest]).items()}
            taught = dataset.teach(Learners([(StackedNetwork(rest), own)], encoder_layers=layers), labels)
            write_parameters(rest, taught.groups[0].params)
        write_targets(policy)
        if dataset.log_std is not None:
            _write_log_std(policy, dataset.log_std - half_width.log())


def check_squashing(dataset: SyntheticDataset, policy: BasePolicy, is_continued: bool = False) -> None:
    """
    :param dataset: its labels are outputs before a tanh, if it was made with ``squash_output=True``
    :param policy: a policy that it teaches
    :param is_continued: whether the dataset is learned on with the policy, so that its labels cannot be rescaled
    :raises DatasetError: if the policy puts its outputs to another use
    """
    made_squashed = bool(dataset.info.policy_kwargs.get("squash_output", False))
    if made_squashed and not squashes(policy):
        raise MisfitError(
            "the dataset was made for outputs that a tanh squashes, and the policy does not squash: give it "
            "policy_kwargs=dict(use_sde=True, squash_output=True)"
        )
    if is_continued and squashes(policy) and not made_squashed:
        raise MisfitError(
            "the dataset was made for outputs that are actions, and the policy squashes them by a tanh: leave out "
            "squash_output=True"
        )


def _put_in_encoder(actor: Network, dataset: SyntheticDataset) -> tuple[nn.Module | None, Network | None]:
    """Give an actor the first layers that all learners share; which these are, and what is left to teach."""
    if dataset.encoder is None:
        return None, actor
    try:
        layers, rest = dataset.encoder.split(actor)
    except ValueError as error:
        raise MisfitError(str(error)) from None
    dataset.encoder.write_to(layers)
    return layers, rest


def write_targets(policy: BasePolicy) -> None:
    """
    :param policy: its target networks, if it has some, become copies of what was taught
    """
    for source, target in (("q_net", "q_net_target"), ("actor", "actor_target")):
        if hasattr(policy, target):
            getattr(policy, target).load_state_dict(getattr(policy, source).state_dict())


def _write_log_std(policy: BasePolicy, log_std: th.Tensor) -> None:
    deviation = getattr(policy, "log_std", None)
    predicted = getattr(getattr(policy, "actor", None), "log_std", None)
    if isinstance(deviation, nn.Parameter):
        distribution = make_action_distribution(policy.action_space, getattr(policy, "action_dist", None))
        deviation.copy_(distribution.expand_log_std(log_std, len(deviation)))
    elif isinstance(predicted, nn.Linear):
        predicted.weight.zero_()  # SAC predicts it from the state; the dataset has one for all states
        predicted.bias.copy_(log_std)


def _takes_schedule(policy_class: type[BasePolicy]) -> bool:
    """Whether a policy has a step size, as all but those of evolution have: it is the third argument, and is needed."""
    third = next(itertools.islice(inspect.signature(policy_class).parameters.values(), 2, None), None)
    return third is None or third.name == "lr_schedule" or third.default is third.empty


def build_policy(
    policy_class: type[BasePolicy], dataset: SyntheticDataset, kwargs: Mapping[str, Any], seed: int | None
) -> BasePolicy:
    """
    :param policy_class: class of the policy
    :param dataset: names the spaces
    :param kwargs: arguments of the policy
    :param seed: seed of the initialisation; ``None`` draws from torch's global generator
    :return: an untrained policy
    """

    def build() -> BasePolicy:
        schedule = (ConstantSchedule(3e-4),) if _takes_schedule(policy_class) else ()
        return policy_class(dataset.info.observation_space, dataset.info.action_space, *schedule, **kwargs)

    if seed is None:
        return build()
    with th.random.fork_rng(devices=[]):
        th.manual_seed(seed)
        return build()
