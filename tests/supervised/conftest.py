import numpy as np
import pytest


@pytest.fixture
def blobs():
    """Four classes in five dimensions, 400 examples to distil and 400 to predict, on scales that differ."""
    rng = np.random.default_rng(0)
    centres = 2 * rng.standard_normal((4, 5))
    targets = rng.integers(4, size=800)
    inputs = (centres[targets] + 0.7 * rng.standard_normal((800, 5))) * [1, 10, 0.1, 1, 1] + [0, 100, 0, 0, 0]
    return (inputs[:400], targets[:400]), (inputs[400:], targets[400:])
