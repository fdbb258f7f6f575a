"""Teaching a PyTorch module in place."""

import copy

import torch as th
from torch import nn

from sb3_distill.dataset.synthetic_dataset import DatasetLike, SyntheticDataset
from sb3_distill.errors import MisfitError, UnsupportedError
from sb3_distill.inner_loop.loop import InnerLoopLike
from sb3_distill.learners.population import Learners
from sb3_distill.networks.stacked import StackedNetwork, stack_parameters, write_parameters
from sb3_distill.supervised.examples import target_scale
from sb3_distill.supervised.modules.factory import network_of


@th.no_grad()
def teach_module(module: nn.Module, dataset: DatasetLike, inner_loop: InnerLoopLike | None = None) -> nn.Module:
    """
    Teach a module in place: one inner loop (line 3 of Algorithm 1 of Wilhelm & Ventura 2025).

    Its outputs are logits, or predictions in the units of the targets. The module then takes inputs as the dataset's learners
    do: where ``dataset.info.normalization`` is there,
    ``dataset.info.normalization(inputs)`` comes before it.

    :param module: from inputs ``(b, *shape)`` to logits or predictions, ends with a linear layer
    :param dataset: what to teach it: a dataset, or its path
    :param inner_loop: another way of teaching than the dataset's
    :return: the module, in evaluation mode
    :raises DatasetError: if it has another number of outputs than the labels
    :raises TypeError: if it cannot be taught
    """
    dataset = copy.deepcopy(SyntheticDataset.of(dataset))
    dataset = dataset if inner_loop is None else dataset.with_inner_loop(inner_loop)
    network = network_of(module, dataset.info.observation_space.shape or ())
    width = getattr(network.head, "out_features", dataset.labels.shape[1])
    if width != dataset.labels.shape[1]:
        raise MisfitError(f"the module has {width} outputs, the labels of the dataset have {dataset.labels.shape[1]}")
    params = stack_parameters([network.eval()])
    dataset.to(next(iter(params.values())).device)
    layers, rest = (None, network) if dataset.encoder is None else dataset.encoder.split(network)
    if dataset.encoder is not None and layers is not None:
        dataset.encoder.write_to(layers)
    if rest is not None:
        params = {name: params[name] for name, _ in rest.named_parameters()}
        taught = dataset.teach(Learners([(StackedNetwork(rest), params)], encoder_layers=layers))
        write_parameters(rest, taught.groups[0].params)
    if "target_std" in dataset.info.data:
        _scale_outputs(network.head, *target_scale(dataset.info))
    return module.eval()


def _scale_outputs(head: nn.Module, std: th.Tensor, mean: th.Tensor) -> None:
    """Outputs of a linear layer become ``std * outputs + mean``."""
    if not isinstance(head, nn.Linear) or head.bias is None:
        raise UnsupportedError("numbers are predicted by modules whose last layer is linear and has a bias")
    head.weight.mul_(std.to(head.weight).unsqueeze(1))
    head.bias.mul_(std.to(head.bias)).add_(mean.to(head.bias))
