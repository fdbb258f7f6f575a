"""The posterior of a perceptron with one hidden layer of tanh, with its gradient written out, for many networks at once."""

from dataclasses import dataclass

import torch as th


@dataclass(frozen=True)
class Posterior:
    """
    Classes by ``softmax(W2 tanh(W1 x + b1) + b2)``, and a Gaussian prior of one variance for all parameters.

    :param inputs: ``(n, d)``
    :param targets: classes ``(n,)``
    :param width: hidden units
    :param n_classes: number of classes
    :param variance: of the prior
    """

    inputs: th.Tensor
    targets: th.Tensor
    width: int
    n_classes: int
    variance: float

    @property
    def n_parameters(self) -> int:
        """Length of a flat vector of parameters."""
        d, h, c = self.inputs.shape[1], self.width, self.n_classes
        return h * d + h + c * h + c

    def parts(self, flat: th.Tensor) -> list[th.Tensor]:
        """
        :param flat: ``(C, P)``
        :return: ``W1 (C, h, d)``, ``b1 (C, 1, h)``, ``W2 (C, c, h)``, ``b2 (C, 1, c)``
        """
        d, h, c = self.inputs.shape[1], self.width, self.n_classes
        w1, b1, w2, b2 = flat.split([h * d, h, c * h, c], dim=1)
        return [w1.view(-1, h, d), b1.unsqueeze(1), w2.view(-1, c, h), b2.unsqueeze(1)]

    def probabilities(self, flat: th.Tensor, inputs: th.Tensor) -> th.Tensor:
        """
        :param flat: ``(C, P)``
        :param inputs: ``(n, d)``
        :return: ``(C, n, c)``
        """
        w1, b1, w2, b2 = self.parts(flat)
        return th.baddbmm(b2, th.baddbmm(b1, inputs.expand(len(flat), -1, -1), w1.mT).tanh(), w2.mT).softmax(dim=2)

    def energy(self, flat: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """
        :param flat: ``(C, P)``
        :return: minus the log posterior density up to a constant ``(C,)``, and its gradient ``(C, P)``
        """
        w1, b1, w2, b2 = self.parts(flat)
        x = self.inputs.expand(len(flat), -1, -1)
        hidden = th.baddbmm(b1, x, w1.mT).tanh_()
        log_probs = th.baddbmm(b2, hidden, w2.mT).log_softmax(dim=2)
        rows = th.arange(len(self.targets))
        energy = flat.square().sum(dim=1) / (2 * self.variance) - log_probs[:, rows, self.targets].sum(dim=1)
        wrong = log_probs.exp_()
        wrong[:, rows, self.targets] -= 1
        back = th.bmm(wrong, w2).mul_(1 - hidden * hidden)
        parts = [th.bmm(back.mT, x), back.sum(dim=1), th.bmm(wrong.mT, hidden), wrong.sum(dim=1)]
        gradient = th.cat([part.flatten(1) for part in parts], dim=1)
        return energy, gradient.add_(flat, alpha=1 / self.variance)

    def modes(self, n: int, steps: int, seed: int) -> th.Tensor:
        """
        Maxima of the posterior density by Adam on all examples, whose rate falls to zero, from small random parameters.

        :param n: number of networks
        :param steps: number of steps
        :param seed: seed of the first parameters
        :return: ``(n, P)``
        """
        flat = 0.1 * th.randn(n, self.n_parameters, generator=th.Generator().manual_seed(seed))
        flat.requires_grad_()
        optimizer = th.optim.Adam([flat], 0.02, fused=True)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 0.02 * (1 - step / steps)
            flat.grad = self.energy(flat.detach())[1]
            optimizer.step()
        return flat.detach()
