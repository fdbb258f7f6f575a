import numpy as np
import pytest
import torch as th


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Small networks are fastest with one thread."""
    th.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeds():
    """The global generators are the same at the start of every test, whichever tests ran before."""
    th.manual_seed(0)
    np.random.seed(0)
