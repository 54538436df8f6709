"""Checkpoints: the last two are kept, also where training begins again before those that are damaged."""

from pathlib import Path

import pytest

from trainables.checkpoints.checkpoint import epochs_in, read_newest, write
from trainables.storage import Folder


def trained(folder: Folder, *epochs: int) -> None:
    for epoch in epochs:
        write(folder, epoch, {"weights.safetensors": bytes([epoch])}, {"history": list(range(epoch))})


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    trained(folder, 1, 2, 3, 4)
    assert epochs_in(folder) == [3, 4]


@pytest.mark.parametrize("damaged", [(9, 10), (10,)])
def test_a_checkpoint_that_was_just_written_outlives_damaged_ones_of_later_epochs(
    damaged: tuple[int, ...], tmp_path: Path
) -> None:
    folder = Folder(str(tmp_path))
    trained(folder, 9, 10)
    for epoch in damaged:
        (tmp_path / str(epoch) / "weights.safetensors").write_bytes(b"torn")
    again = 1 if 9 in damaged else 10
    trained(folder, again)
    found = read_newest(folder)
    assert found is not None
    assert len(found.state["history"]) == again
    assert epochs_in(folder) == ([1] if again == 1 else [9, 10])
