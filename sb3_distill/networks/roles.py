"""Roles that parameters play in a network, which may have learned rates of their own."""

from enum import IntEnum

from torch import nn

from sb3_distill.errors import UnsupportedError
from sb3_distill.networks.anatomy import Network


class Role(IntEnum):
    """
    What a parameter is; the value is the column of its learned rate.

    The first layer is apart from the other hidden ones: only the first layer's update is built from synthetic observations
    directly, hence is equal for all learners.
    """

    INPUT_WEIGHTS = 0
    INPUT_BIASES = 1
    HIDDEN_WEIGHTS = 2
    HIDDEN_BIASES = 3
    OUTPUT_WEIGHTS = 4
    OUTPUT_BIASES = 5


ROLES = tuple(role.name.lower() for role in Role)
"""Names of the roles, in the order of the learned rates."""


def role_of_parameters(network: Network) -> dict[str, Role]:
    """
    :param network: an actor
    :return: the role of each parameter by name. A custom extractor has no first layer
    :raises TypeError: if a module has parameters of its own that are neither weights nor biases
    """
    roles: dict[str, Role] = {}
    first = network.first_layer()
    for prefix, module in network.named_modules():
        for name, _ in module.named_parameters(recurse=False):
            if name not in ("weight", "bias"):
                raise UnsupportedError(
                    f"the dataset has one rate per role (weight or bias), and the role of {name!r} in the module "
                    f"{prefix} ({type(module).__name__}) cannot be told: use a dataset with a single rate"
                )
            roles[f"{prefix}.{name}"] = _role(module, name == "bias", first, network.head)
    return roles


def _role(module: nn.Module, is_bias: bool, first: nn.Module | None, last: nn.Module) -> Role:
    if module is last:  # a network of one layer has no input layer besides
        return Role.OUTPUT_BIASES if is_bias else Role.OUTPUT_WEIGHTS
    if module is first:
        return Role.INPUT_BIASES if is_bias else Role.INPUT_WEIGHTS
    return Role.HIDDEN_BIASES if is_bias else Role.HIDDEN_WEIGHTS
