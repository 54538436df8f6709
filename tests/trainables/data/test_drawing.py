"""Draws of a split: every class keeps its share, and a smaller draw is part of a larger one."""

from itertools import pairwise

import numpy as np
import pytest

from trainables.data.drawing import drawn
from trainables.data.splits import Examples

LABELS = np.array([0] * 50 + [1] * 30 + [2] * 20, dtype=np.int64)
ALL = Examples(np.arange(100, dtype=np.float32).reshape(100, 1, 1, 1), LABELS)


@pytest.mark.parametrize(("count", "by_class"), [(10, [5, 3, 2]), (20, [10, 6, 4]), (50, [25, 15, 10]), (1, None)])
def test_every_class_keeps_its_share(count: int, by_class: list[int] | None) -> None:
    some = drawn(ALL, count)
    assert len(some) == len(some.images) == count
    assert by_class is None or np.bincount(some.labels).tolist() == by_class
    assert LABELS[some.images.flatten().astype(int)].tolist() == some.labels.tolist()


def test_a_class_whose_share_is_less_than_half_an_image_gives_none() -> None:
    rare = Examples(ALL.images, np.array([0] * 98 + [1, 2], dtype=np.int64))
    assert np.bincount(drawn(rare, 10).labels, minlength=3).tolist() == [10, 0, 0]


def test_a_smaller_draw_is_part_of_a_larger_one() -> None:
    draws = [set(drawn(ALL, count).images.flatten()) for count in (1, 7, 23, 50, 99, 100)]
    assert all(small < large for small, large in pairwise(draws))


def test_it_is_the_same_draw_each_time_and_not_the_first_images() -> None:
    assert drawn(ALL, 20).images.tolist() == drawn(ALL, 20).images.tolist()
    assert drawn(ALL, 20).images.flatten().tolist() != list(range(20))


@pytest.mark.parametrize("count", [None, 100, 1000])
def test_as_many_as_there_are_is_all_in_their_order(count: int | None) -> None:
    assert drawn(ALL, count) is ALL
