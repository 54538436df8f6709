"""YAML in which one group has a key twice, of which a reader would silently take the last."""

import pytest

from trainables.config import read_yaml
from trainables.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("a: 1\nb: 2\na: 3\n", ["x.yaml: a: stands twice, in lines 1 and 3, expected it once"]),
        ("a: {b: 1,\n  c: 2, b: 1}", ["x.yaml: a.b: stands twice, in lines 1 and 2, expected it once"]),
        ("a:\n- b: 1\n- {b: 1, b: 2}", ["x.yaml: a.1.b: stands twice, in lines 3 and 3, expected it once"]),
        ("a: 1\n'a': 3\n", ["x.yaml: a: stands twice, in lines 1 and 2, expected it once"]),
        (
            "a: 1\na: 2\nb: {c: 1, c: 2}\n",
            [
                "x.yaml: a: stands twice, in lines 1 and 2, expected it once",
                "x.yaml: b.c: stands twice, in lines 3 and 3, expected it once",
            ],
        ),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_both_lines(text: str, problems: list[str]) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_yaml(text, "x.yaml")
    assert sorted(refused.value.problems) == problems


def test_equal_keys_of_different_groups_and_merged_ones_are_no_problem() -> None:
    text = "a: &a {b: 1}\nc: {<<: *a, b: 2}\nd: [{b: 1}, {b: 1}]\ne: *a\n"
    assert read_yaml(text, "x.yaml")["c"] == {"b": 2}
