"""Settings of sets that teach any learner."""

from sb3_distill.typing import Json

RATES = dict(
    learning_rate="lin_0.02",
    labels_learning_rate="lin_0.2",
    rates_learning_rate="lin_0.1",
    critic_learning_rate="lin_0.0075",
)
# A first step on the last layer aligns it with the labels, the same for all learners; a second one on the first layer, whose
# update is made of synthetic observations, adds features that are free of the noise of random ones. Hence the start.
FIRST, SECOND = [1e-3, 1e-3, 1e-3, 1e-3, 10.0, 0.01], [10.0, 1e-3, 1e-3, 1e-3, 1.0, 0.01]


def several_steps(n: int) -> Json:
    """
    :param n: number of inner steps, of which the last one adds features
    :return: arguments of ``PPMO``
    """
    return dict(
        n_inner_steps=n, inner_rate_per_role=True, inner_rate_relative=True, inner_learning_rate=[FIRST] * (n - 1) + [SECOND]
    )
