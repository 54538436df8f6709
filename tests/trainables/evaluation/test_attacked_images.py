"""What people look at is what was scored: the same images, the same attack, the same answers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.linear_network import known
from trainables.attacks.pgd import PgdAttack
from trainables.compute.flops import PassCost
from trainables.compute.ledger import Ledger
from trainables.evaluation.attacked_images import FILE, LARGEST, AttackedImages
from trainables.evaluation.score import Score, evaluate
from trainables.storage import Folder

EPSILON = 4.2 / 255  # some of the first eight images are nearer to another class


def scored(keep: int, batch_size: int = 50) -> Score:
    """A linear network's score on 200 images, of which the second has a wrong label."""
    it = known("linf")
    labels = it.labels.clone()
    labels[1] = (labels[1] + 1) % 5
    attack, cost = PgdAttack(norm="linf", epsilon=EPSILON, steps=5), PassCost(1, 1, 1, 1)
    return evaluate(it.model, it.images, labels, attack, batch_size=batch_size, cost=cost, ledger=Ledger(), keep=keep)


def test_the_first_images_are_kept_with_what_was_scored_of_them() -> None:
    it, score = known("linf"), scored(8)
    kept = score.kept
    assert kept is not None
    assert kept.images.dtype == np.uint8
    np.testing.assert_array_equal(kept.images, (it.images[:8] * 255).round().numpy())
    np.testing.assert_array_equal(kept.answers == kept.labels, score.clean[:8])
    np.testing.assert_array_equal(kept.attacked_answers == kept.labels, score.robust[:8])
    assert not score.clean[1]
    assert 0 < score.robust[:8].sum() < 7  # of the seven that are attacked the attack breaks some
    moved = kept.attacked.astype(int) - kept.images
    assert (moved[1] == 0).all()  # wrong as it is, so nobody attacked it
    others = [0, *range(2, 8)]
    assert np.abs(moved[others]).max(axis=(1, 2, 3)) == pytest.approx(4, abs=1)
    again = it.model(torch.from_numpy(kept.attacked) / 255).argmax(1).numpy()
    assert (again == kept.attacked_answers).mean() > 0.8  # all but what rounding to 8 bits decides


def test_no_more_than_a_batch_is_kept_and_nothing_unless_asked() -> None:
    few, none = scored(8, batch_size=3), scored(0)
    assert few.kept is not None
    assert len(few.kept.labels) == 3
    assert none.kept is None
    np.testing.assert_array_equal(none.robust, scored(8).robust)


@pytest.mark.parametrize(
    ("size", "expected"), [((96, 96), (96, 96)), ((200, 100), (LARGEST, 48)), ((1, 500), (1, LARGEST))]
)
def test_large_images_are_made_smaller(size: tuple[int, int], expected: tuple[int, int]) -> None:
    images, labels = torch.full((2, 3, *size), 0.4), torch.zeros(2, dtype=torch.long)
    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    attack, cost = PgdAttack(norm="linf", epsilon=0.1, steps=1), PassCost(1, 1, 1, 1)
    kept = evaluate(network, images, labels, attack, batch_size=2, cost=cost, ledger=Ledger(), keep=8).kept
    assert kept is not None
    assert kept.images.shape == (2, 3, *expected)
    assert (kept.images == 102).all()


def test_they_are_read_as_they_were_written_and_a_torn_file_is_none(tmp_path: Path) -> None:
    kept, folder = scored(4).kept, Folder(str(tmp_path))
    assert kept is not None
    assert AttackedImages.read(folder) is None
    kept.write(folder)
    read = AttackedImages.read(folder)
    assert read is not None
    for name in ("images", "attacked", "labels", "answers", "attacked_answers"):
        np.testing.assert_array_equal(getattr(read, name), getattr(kept, name))
    content = folder.read(FILE)
    for torn in (b"", content[: len(content) // 2], b"PK\x03\x04" + content[40:], content[:-1]):
        folder.write(FILE, torn)
        assert AttackedImages.read(folder) is None


def test_images_that_do_not_fit_each_other_are_refused() -> None:
    kept = scored(4).kept
    assert kept is not None
    for wrong in ({"attacked": kept.attacked[:, :, :2]}, {"answers": kept.answers[:3]}, {"images": kept.images[0]}):
        with pytest.raises(ValueError, match="expected"):
            replace(kept, **wrong)
