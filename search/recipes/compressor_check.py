"""Tries the user's compression methods on a study's network in the driver, before any trial could fail by them."""

import torch
from torch import nn

from search.study.study import Study
from search.study.user_functions import user_compressors
from trainables.data.splits import Splits
from trainables.models.build import build
from trainables.network_check.compressed import check_compressed

IMAGES = 64  # training images that the methods are tried on


def try_user_compressors(study: Study, splits: Splits) -> None:
    """Try each of the user's compression methods that a study names, with the quantization that follows it.

    They are tried on the study's network with a few training images.

    Raises:
        InvalidInput: a method does not work; the message begins with its key in the study.
    """
    few = splits.train.tensors(torch.device("cpu"))
    x, y = few[0][:IMAGES], few[1][:IMAGES]

    def fresh(seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return build(study.model, tuple(x.shape[1:]), classes=splits.classes)

    for where, (method, after) in user_compressors(study).items():
        methods = (method,) if after is None else (method, after)
        with torch.random.fork_rng(devices=[]):  # new layers draw their first weights
            check_compressed(methods, fresh, x, y, seed=study.seed, where=where)
