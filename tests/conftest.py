import numpy as np
import pytest
import torch as th
from stable_baselines3.common.logger import configure


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Small networks are fastest with one thread."""
    th.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeds():
    """The global generators are the same at the start of every test, whichever tests ran before."""
    th.manual_seed(0)
    np.random.seed(0)


@pytest.fixture
def log_to_csv():
    """A function that makes a model log to ``progress.csv`` in a folder; the files are closed after the test."""
    loggers = []

    def log(model, folder):
        loggers.append(configure(str(folder), ["csv"]))
        model.set_logger(loggers[-1])

    yield log
    for logger in loggers:
        logger.close()
