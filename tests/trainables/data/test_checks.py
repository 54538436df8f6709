"""Pixels that lie where they should but for rounding, and images whose axes may be in another order."""

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from trainables.data.checks import check_form, checked_values
from trainables.errors import InvalidInput

RAMP = np.linspace(0, 1, 40 * 2 * 9, dtype=np.float32).reshape(40, 2, 3, 3)
LABELS = np.arange(40) % 4


@pytest.mark.parametrize("number", [1 + 2**-23, 1.000009, -0.000009])
def test_pixels_that_rounding_left_outside_are_put_on_the_bound_of_a_copy(number: float) -> None:
    theirs = np.where(RAMP < 0.5, np.float32(0.25), np.float32(number))
    before = theirs.copy()
    found = checked_values(theirs, LABELS, "theirs")
    assert np.array_equal(found, np.where(RAMP < 0.5, 0.25, round(number)))
    assert np.array_equal(theirs, before)


def test_pixels_in_bounds_are_not_copied() -> None:
    assert checked_values(RAMP, LABELS, "theirs") is RAMP


def test_pixels_that_resizing_rounds_are_accepted() -> None:
    resized = v2.functional.resize(torch.ones(40, 1, 23, 23), [8, 8]).numpy()
    assert resized.max() > 1
    assert checked_values(resized, LABELS, "theirs").max() == 1


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (RAMP * 1.00002, r"first 1.00002 in image 39; expected images.clip\(0, 1\) if interpolation went beyond"),
        (RAMP - np.float32(2e-5), r"first -2e-05 in image 0; expected images.clip\(0, 1\) if interpolation"),
        (RAMP * 1.18 - 0.09, r"first -0.09 in image 0; expected images.clip\(0, 1\) if interpolation"),
        (RAMP * 1.9, r"; expected numbers in \[0, 1\]$"),
        (RAMP * 3, r"; expected images / 255 \(bytes, uint8, are divided by 255 for you\)$"),
        (RAMP * 255 - 0.1, r"; expected images / 255 \(bytes"),
        (RAMP * 1.5 - 0.3, "; images are given before normalization"),
    ],
)
def test_advice_on_pixels_outside_follows_how_far_they_are(images: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^data.name: theirs gave pixels outside \[0, 1\], .*{message}"):
        checked_values(images.astype(np.float32), LABELS, "theirs")


@pytest.mark.parametrize("number", [np.nan, -np.inf])
def test_the_image_with_a_pixel_that_is_no_number_is_named(number: float) -> None:
    images = RAMP.copy()
    images[7, 1, 2, 0] = images[9, 0] = number
    with pytest.raises(InvalidInput, match=f"gave pixels that are {number}, first in image 7, expected numbers in"):
        checked_values(images, LABELS, "theirs")


@pytest.mark.parametrize("shape", [(0, 8, 8), (1, 0, 8), (3, 8, 0)])
def test_images_without_a_pixel_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="expected at least one pixel in each"):
        check_form(np.zeros((40, *shape)), LABELS, "theirs")


@pytest.mark.parametrize("shape", [(8, 8, 3), (24, 32, 3), (32, 24, 4), (480, 640, 3)])
def test_images_with_the_channels_last_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match=r"with the channels last, expected .*: images.transpose\(0, 3, 1, 2\), or"):
        check_form(np.zeros((4, *shape)), LABELS[:4], "theirs")


@pytest.mark.parametrize("shape", [(24, 32, 1), (64, 64, 13), (8, 8, 6), (8, 8, 2)])
def test_a_last_axis_that_may_be_a_width_or_channels_is_said(
    caplog: pytest.LogCaptureFixture, shape: tuple[int, int, int]
) -> None:
    """One column, or square images of several bands, as satellites take them."""
    check_form(np.zeros((40, *shape)), LABELS, "theirs")
    read = "read as {} channels of height {} and width {}; if the channels come last: images.transpose"
    assert read.format(*shape) in caplog.text


@pytest.mark.parametrize(
    "shape", [(1, 24, 3), (3, 32, 4), (4, 32, 1), (2, 3, 3), (16, 4, 4), (16, 1, 1), (24, 32, 5), (13, 64, 64)]
)
def test_channels_that_come_first_are_believed(caplog: pytest.LogCaptureFixture, shape: tuple[int, ...]) -> None:
    check_form(np.zeros((40, *shape)), LABELS, "theirs")
    assert not caplog.text
