"""Keeps the random states from which code of the user's may draw as they are."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Keeps the random states of PyTorch's CPU generator, of Python and of NumPy, from which a network may draw."""
    state, of_numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(state)
            np.random.set_state(of_numpy)
