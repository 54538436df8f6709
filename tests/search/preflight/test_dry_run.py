"""What a plan says of operators whose FLOPs nobody knows."""

import pytest
import torch
from torch import Tensor, nn

from search.preflight.dry_run import NOT_PLANNED, show_plan
from search.study.loading import load
from tests.support.plans import plan_of
from trainables.errors import InvalidInput

SMALL = ["data.train_size=200", "data.validation_size=100", f"model.name={__name__}:network"]
NAME = "tempertest::doubled"


@torch.library.custom_op(NAME, mutates_args=())
def doubled(x: Tensor) -> Tensor:
    return x + x


doubled.register_fake(torch.empty_like)
doubled.register_autograd(lambda _, gradient: 2 * gradient)


class Doubling(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        given: Tensor = doubled(x)
        return given


def network(image_shape: tuple[int, ...], classes: int) -> nn.Module:
    """An operator of the user's gives 64 of the 74 numbers of a forward pass."""
    return nn.Sequential(Doubling(), nn.Flatten(), nn.Linear(64, classes))


def test_a_plan_without_flops_is_shown_and_refused_even_if_the_network_is_not_tried() -> None:
    said: list[object] = []
    with pytest.raises(InvalidInput, match=f"runs {NAME}, whose FLOPs are unknown"):
        show_plan(load("digits", SMALL), try_network=False, say=said.append)
    assert NOT_PLANNED in str(said[-1])
    assert NAME not in str(said)  # the error says it, once


def test_a_study_without_a_description_is_named_alone() -> None:
    first, *_ = plan_of(load("digits", [*SMALL[:2], "description=''"])).splitlines()
    assert first == "digits"


def test_a_plan_says_the_share_of_operators_that_it_may_leave_out() -> None:
    text = plan_of(load("digits", [*SMALL, f"model.uncounted_operators=['{NAME}']"]))
    assert f"not counted, with the share of the numbers in a forward pass that it gives: {NAME} (86.5%)" in text
    assert NOT_PLANNED not in text


def test_a_plan_that_counts_everything_says_nothing_of_it() -> None:
    counted = load("digits", SMALL[:2])
    assert "not counted" not in plan_of(counted)
    allowed = load("digits", [*SMALL[:2], f"model.uncounted_operators=['{NAME}']"])
    assert plan_of(allowed).count("nothing: the network runs none") == 1
