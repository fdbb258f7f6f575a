"""The definition of ``Carry``, line by line, for autograd."""

import itertools

import torch as th
from torch import nn


def ridge_change(inputs, wanted, ridge, has_bias):
    """Changes of weights ``(M, n, A)`` and biases ``(M, A)`` by ridge regression of ``(M, k, A)`` on ``(M, k, n)``."""
    center = inputs.mean(dim=1, keepdim=True) if has_bias else th.zeros_like(inputs[:, :1])
    shift = wanted.mean(dim=1, keepdim=True) if has_bias else th.zeros_like(wanted[:, :1])
    h, e = inputs - center, wanted - shift
    kernel = h @ h.mT
    mu = ridge * kernel.diagonal(dim1=1, dim2=2).mean(dim=1) + 1e-12
    change = h.mT @ th.linalg.solve(kernel + mu.view(-1, 1, 1) * th.eye(kernel.shape[1], dtype=kernel.dtype), e)
    return change, (shift - center @ change).squeeze(1)


def patterns(n_labels, n_units):
    """``P (A, h)`` and ``q (h,)``."""
    pattern = th.zeros(n_labels, n_units, dtype=th.double)
    for j in range(n_units):
        pattern[j % n_labels, j] = (-1) ** (j // n_labels)
    offset = [(-1) ** (j // 2 if n_labels == 1 else j % n_labels) for j in range(n_units)]
    return pattern, th.tensor(offset, dtype=th.double)


def plain_carry(network, params, x, labels, ridge, strength):
    """Taught parameters of a stack of ``network``, a chain of layers whose ``head`` is linear; all in double precision."""
    kept, added = 1 / (1 + strength**2).sqrt(), strength / (1 + strength**2).sqrt()
    wanted = labels - labels.mean(dim=0)
    wanted = wanted / (wanted.square().mean() + 1e-12).sqrt()
    n, params = len(next(iter(params.values()))), dict(params)
    x = x.expand(n, *x.shape)
    for (name, module), (_, following) in itertools.pairwise([*network.chain()]):
        if isinstance(module, nn.Linear):
            has_bias, pattern_offset = module.bias is not None, patterns(labels.shape[1], module.out_features)
            weight, bias = params[f"{name}.weight"], params.get(f"{name}.bias", th.zeros(n, 1, dtype=th.double))
            outputs = x @ weight.mT + bias.unsqueeze(1)
            middle = outputs.mean(dim=(1, 2), keepdim=True) if has_bias else 0.0
            size = (outputs - middle).square().mean(dim=(1, 2)).sqrt().clamp(min=1e-6).view(-1, 1, 1)
            change, bias_change = ridge_change(x, wanted.expand(n, -1, -1), ridge, has_bias)
            pattern, offset = pattern_offset
            params[f"{name}.weight"] = kept * weight + added * size * (pattern.mT @ change.mT)
            if has_bias:
                shift = bias_change @ pattern + (offset if isinstance(following, nn.LayerNorm) else 0.0)
                params[f"{name}.bias"] = kept * bias + added * size.squeeze(2) * shift
        x = th.stack([
            th.func.functional_call(module, {key.removeprefix(f"{name}."): value[i] for key, value in params.items()
                                             if key.startswith(f"{name}.")}, (x[i],))
            for i in range(n)
        ])  # fmt: skip
    weight, bias = params["head.weight"], params.get("head.bias")
    error = labels - x @ weight.mT - (0.0 if bias is None else bias.unsqueeze(1))
    change, bias_change = ridge_change(x, error, ridge, bias is not None)
    params["head.weight"] = weight + change.mT
    if bias is not None:
        params["head.bias"] = bias + bias_change
    return params
