import pytest
import torch as th


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Small networks are fastest with one thread."""
    th.set_num_threads(1)
