"""Roles that parameters play in a network, which may have learned rates of their own."""

from sb3_distill.errors import UnsupportedError
from sb3_distill.networks.anatomy import Network

ROLES = ("input_weights", "input_biases", "hidden_weights", "hidden_biases", "output_weights", "output_biases")
"""
Roles of parameters that may have learned rates of their own. The first layer is apart from the other hidden ones: its update
alone is made of synthetic observations, not of random features of them, so that what it adds is the same for all learners.
"""


def role_of_parameters(network: Network) -> dict[str, int]:
    """
    :param network: an actor
    :return: for each parameter by name, the index of its role in ``ROLES``. A custom extractor has no first layer
    :raises TypeError: if a module has parameters of its own that are neither weights nor biases
    """
    roles: dict[str, int] = {}
    first = network.first_layer()
    for prefix, module in network.named_modules():
        layer = 2 if module is network.head else 0 if module is first else 1
        for name, _ in module.named_parameters(recurse=False):
            if name not in ("weight", "bias"):
                raise UnsupportedError(
                    f"the dataset has one rate per role (weight or bias), and the role of {name!r} in the module "
                    f"{prefix} ({type(module).__name__}) cannot be told: use a dataset with a single rate"
                )
            roles[f"{prefix}.{name}"] = 2 * layer + (name == "bias")
    return roles
