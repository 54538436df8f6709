"""How messages write values: a number with its noun."""

from trainables.value_forms import counted


def test_a_noun_stands_in_the_plural_unless_the_number_is_written_as_one() -> None:
    assert [counted(number, "worker") for number in (0, 1, 2)] == ["0 workers", "1 worker", "2 workers"]
    assert counted(1234, "image", ",") == "1,234 images"
    assert counted(1.0, "hour", "g") == "1 hour"
    assert counted(1.0, "hour", ".1f") == "1.0 hours"
    assert counted(1, "recipe", "3d") == "  1 recipe"
    assert [counted(number, "class", plural="classes") for number in (1, 2)] == ["1 class", "2 classes"]
