"""Slots counted by hand."""

import pytest

from cluster.resources import slots
from trainables.errors import InvalidInput

NODES = [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 3.0}]


@pytest.mark.parametrize(
    ("cpu", "gpu", "at_most", "expected"),
    [
        (1, 0, None, 11),
        (2, 0, None, 5),  # 4 on the first node and 1 on the second: a trial never spans nodes
        (1, 0.25, None, 8),
        (1, 0.3, None, 6),  # 3 a card: a share never spans cards
        (4, 0.25, None, 2),
        (1, 2, None, 1),
        (1, 0, 3, 3),
    ],
)
def test_slots(cpu: float, gpu: float, at_most: int | None, expected: int) -> None:
    assert slots(NODES, cpu=cpu, gpu=gpu, at_most=at_most) == expected


def test_no_room_is_refused_with_what_there_is() -> None:
    with pytest.raises(InvalidInput, match="got 1 CPU and 3 GPU a trial"):
        slots(NODES, cpu=1, gpu=3)
