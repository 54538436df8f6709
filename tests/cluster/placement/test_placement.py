"""Places counted by hand."""

import pytest

from cluster.placement.placement import ACCELERATOR, MARKET, Node, Placement, malformed, matches, overflow, slots

NODES = [Node({"CPU": 8.0, "GPU": 2.0}, {ACCELERATOR: "A100", MARKET: "spot"}), Node({"CPU": 3.0})]
ON_SPOT = ((MARKET, "spot"),)


@pytest.mark.parametrize(
    ("placement", "expected"),
    [
        (Placement(1), 11),
        (Placement(2), 5),  # 4 on the first node and 1 on the second: a trial never spans nodes
        (Placement(1, 0.25), 8),
        (Placement(1, 0.3), 6),  # 3 a card: a share never spans cards
        (Placement(4, 0.25), 2),
        (Placement(1, 2), 1),
        (Placement(1, 3), 0),
        (Placement(1, labels=ON_SPOT), 8),
        (Placement(1, labels=((MARKET, "!spot"),)), 3),
        (Placement(1, 0.5, ((ACCELERATOR, "H100"),)), 0),
    ],
)
def test_slots(placement: Placement, expected: int) -> None:
    assert slots(NODES, placement) == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({Placement(1): 11}, 0),
        ({Placement(1): 13}, 2),
        ({Placement(1, 0.25): 9}, 1),
        ({Placement(1, 0.25): 4, Placement(1, 1): 1}, 0),  # the whole card is placed first
        ({Placement(1, 0.25): 5, Placement(1, 1): 1}, 1),
        ({Placement(1, 0.4): 2, Placement(1, 0.6): 2}, 0),  # the larger shares first, one on each card
        ({Placement(1): 2, Placement(3): 3}, 0),  # and what takes more CPUs: one here and two there
        ({Placement(1): 3, Placement(8, 1): 1}, 0),  # those without a GPU leave the node that has some to the other
        ({Placement(1): 4, Placement(8, 1): 1}, 1),
        ({Placement(1): 3, Placement(1, labels=ON_SPOT): 8}, 0),
        ({Placement(1): 3, Placement(1, labels=ON_SPOT): 9}, 1),
    ],
)
def test_overflow(wanted: dict[Placement, int], expected: int) -> None:
    assert overflow(NODES, wanted) == expected


def test_shares_that_add_up_to_a_card_fit_on_it() -> None:
    """In floating point, 1 - 0.4 holds 0.2 only 2.9999999999999996 times."""
    assert overflow([Node({"CPU": 8.0, "GPU": 1.0})], {Placement(1, 0.4): 1, Placement(1, 0.2): 3}) == 0


def test_trials_without_a_gpu_leave_the_nodes_that_have_one_whatever_the_order() -> None:
    card, ours = {"CPU": 8.0, "GPU": 1.0}, {MARKET: "spot"}
    nodes = [Node(card, ours), Node({"CPU": 8.0}, ours), Node(card), Node(card)]
    assert overflow(nodes, {Placement(8, labels=ON_SPOT): 1, Placement(1, 1): 3}) == 0


def test_what_fewer_nodes_can_hold_is_placed_first_whatever_the_order() -> None:
    nodes = [Node({"CPU": 4.0}, {ACCELERATOR: "a"}), Node({"CPU": 4.0}, {ACCELERATOR: "b"})]
    either, only = Placement(4, labels=((ACCELERATOR, "in(a, b)"),)), Placement(4, labels=((ACCELERATOR, "a"),))
    assert overflow(nodes, {either: 1, only: 1}) == overflow(nodes, {only: 1, either: 1}) == 0
    assert overflow(nodes, {either: 2, only: 1}) == 1


@pytest.mark.parametrize(
    ("selector", "spot", "unlabelled"),
    [
        ("spot", True, False),
        ("!spot", False, True),
        ("in(on-demand, spot)", True, False),
        ("in(on-demand)", False, False),
        ("!in(spot,on-demand)", False, True),
    ],
)
def test_selectors(selector: str, spot: bool, unlabelled: bool) -> None:
    assert malformed({MARKET: selector}) is None
    assert matches({MARKET: "spot"}, [(MARKET, selector)]) == spot
    assert matches({}, [(MARKET, selector)]) == unlabelled


@pytest.mark.parametrize("selector", ["", "in()", "!!spot", "a b", "in(a b)", "-spot", "in(spot", "x" * 64, "a\n"])
def test_malformed_selectors(selector: str) -> None:
    assert (
        malformed({MARKET: selector}) == f"got {selector!r} for {MARKET}, expected value, !value, in(a, b) or !in(a, b)"
    )
    assert malformed({"a key": "spot"}) == "got key 'a key', expected a label's key"


def test_selectors_are_those_that_ray_takes() -> None:
    from ray._private.label_utils import validate_label_selector

    for selector in ("spot", "!spot", "in(a, b)", "!in(a,b)", "in()", "!!spot", "a b", "-spot", "in(spot"):
        assert (validate_label_selector({MARKET: selector}) is None) == (malformed({MARKET: selector}) is None)
