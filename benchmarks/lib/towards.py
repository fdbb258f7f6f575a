"""Runs whose outer loss is the cross-entropy from wanted predictions, in place of the classes."""

import math

import torch as th

from sb3_distill import SupervisedDistillation
from sb3_distill.learners.population import Learners


def cross_entropy_of_mean(outputs: th.Tensor, wanted: th.Tensor) -> th.Tensor:
    """
    :param outputs: logits of M learners ``(M, b, c)``
    :param wanted: probabilities ``(b, c)``
    :return: cross-entropy of their mean probabilities, a scalar
    """
    log_probs = outputs.log_softmax(dim=2).logsumexp(dim=0) - math.log(len(outputs))
    return -(wanted * log_probs).sum(dim=1).mean()


class TowardsChains(SupervisedDistillation):
    """Learners predict as the chains do, on training images."""

    wanted: th.Tensor
    """Predictions of the training images ``(n, c)``."""

    def loss_of(self, learners: Learners, drawn: Learners) -> tuple[th.Tensor, th.Tensor]:
        chosen = th.randint(self.data_size, (self.batch_size,), generator=self.generator)
        outputs = learners(self.inputs[chosen].expand(learners.n_learners, -1, -1))
        loss = cross_entropy_of_mean(outputs, self.wanted[chosen])
        return loss, loss


class TowardsNetworks(SupervisedDistillation):
    """
    Learners together predict as trained networks do together, on random mixtures of two training images each: networks tell
    what they predict anywhere, so that there are more inputs than images. (Mixup, Zhang et al. 2018, arXiv 1710.09412, mixes
    the classes too.)
    """

    teachers: Learners
    """Networks that were trained on everything."""

    def loss_of(self, learners: Learners, drawn: Learners) -> tuple[th.Tensor, th.Tensor]:
        one, other = self.inputs[th.randint(self.data_size, (2, self.batch_size), generator=self.generator)]
        images = th.lerp(one, other, th.rand(self.batch_size, 1, generator=self.generator))
        with th.no_grad():
            wanted = self.teachers(images.expand(self.teachers.n_learners, -1, -1)).softmax(dim=2).mean(dim=0)
        loss = cross_entropy_of_mean(learners(images.expand(learners.n_learners, -1, -1)), wanted)
        return loss, loss
