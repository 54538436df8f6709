"""Where a run came from: what decides whether its numbers come out bitwise alike."""

from pathlib import Path

from search.record.provenance import cards, environment


def test_cards_are_named_as_their_driver_names_them(tmp_path: Path) -> None:
    assert cards(tmp_path / "no driver") == []
    for number, name in enumerate(("NVIDIA H100 80GB HBM3", "NVIDIA L4")):
        (tmp_path / f"0000:0{number}:00.0").mkdir()
        told = f"Model: \t\t {name}\nIRQ:   \t\t 41\nGPU UUID: \t GPU-e94291af\n"
        (tmp_path / f"0000:0{number}:00.0" / "information").write_text(told)
    assert cards(tmp_path) == ["NVIDIA H100 80GB HBM3", "NVIDIA L4"]


def test_what_was_trained_on_a_card_is_the_same_on_the_same_card_alone() -> None:
    """What was trained on a CPU is compared as before, whatever cards the machine has."""
    assert "cards" not in environment(1, "cpu")
    assert environment(1, "cuda")["cards"] == cards()
