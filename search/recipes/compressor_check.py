"""A study's own compression methods, tried on its network in the driver before any trial could fail by them."""

import torch
from torch import nn

from search.study.study import Study
from search.study.user_compressors import user_compressors
from trainables.compression.user_compressor import try_out
from trainables.data.splits import Splits
from trainables.models.build import build

IMAGES = 64  # of the training images


def try_user_compressors(study: Study, splits: Splits) -> None:
    """Try each of a study's own compression methods, with the quantization that follows it, on a few images.

    Raises:
        InvalidInput: what does not work, by the key of the study.
    """
    few = splits.train.tensors(torch.device("cpu"))
    x, y = few[0][:IMAGES], few[1][:IMAGES]

    def fresh() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(study.seed)
            return build(study.model, tuple(x.shape[1:]), classes=splits.classes)

    for where, (method, after) in user_compressors(study).items():
        methods = (method,) if after is None else (method, after)
        with torch.random.fork_rng(devices=[]):  # new layers draw their first weights
            try_out(methods, fresh, x, y, seed=study.seed, where=where)
