"""Divides the training images of an epoch into batches, and a batch into parts, none of which is a single image.

Normalization over a batch fails on one image in train mode, so a last batch of one image is joined to the batch before:
no image is lost, and the ledger charges every image as before. The epoch then has one step less, for which the rate's
curve and the attack's warm-up are computed. Where the last batch has two images or more, nothing differs.
"""

import math
from itertools import pairwise

from trainables.recipe.schedule import Schedule


def batch_sizes(examples: int, size: int) -> list[int]:
    """Returns the number of images of each batch of an epoch; their sum is `examples`.

    Args:
        examples: number of training images.
        size: images per batch. The last batch may be smaller, or have one image more; with a size of 1, every batch is
            one image, as was asked for.
    """
    whole, left = divmod(examples, size)
    sizes = [size] * whole
    if left == 1 and whole:
        sizes[-1] += 1
    elif left:
        sizes.append(left)
    return sizes


def epoch_sizes(examples: int, schedule: Schedule, epoch: int) -> list[int]:
    """Returns the number of images of each batch of an epoch that is trained on; the last epoch may end early.

    Args:
        examples: number of training images.
        schedule: says how large a batch is, and how many the last epoch has.
        epoch: number of the epoch, counted from 1.
    """
    sizes = batch_sizes(examples, schedule.batch_size)
    return sizes[: schedule.last_epoch_steps] if epoch == schedule.epochs else sizes


def schedule_steps(examples: int, schedule: Schedule) -> int:
    """Returns the number of batches of the whole schedule."""
    if not schedule.epochs:
        return 0
    whole = len(batch_sizes(examples, schedule.batch_size))
    return (schedule.epochs - 1) * whole + len(epoch_sizes(examples, schedule, schedule.epochs))


def schedule_images(examples: int, schedule: Schedule) -> int:
    """Returns the number of images of the whole schedule, each as often as it is trained on."""
    if not schedule.epochs:
        return 0
    return (schedule.epochs - 1) * examples + sum(epoch_sizes(examples, schedule, schedule.epochs))


def part_slices(examples: int, parts: int, size: int) -> list[slice]:
    """Returns the parts in which the images of a batch are trained on in turn, where memory is short.

    Args:
        examples: images of this batch.
        parts: number of parts that a batch is split into; a small batch may have fewer.
        size: images of a whole batch. Only if this many images make parts of one image are there such parts.
    """
    least = min(2, math.ceil(size / parts))
    part = max(math.ceil(examples / parts), min(least, examples))
    ends = [0]
    for one in batch_sizes(examples, part):
        ends.append(ends[-1] + one)
    return [slice(first, last) for first, last in pairwise(ends)]
