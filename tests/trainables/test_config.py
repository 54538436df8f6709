"""YAML as people write it: its numbers are those that they mean, and a key that stands twice is refused."""

from typing import Any

import pytest
import yaml

from trainables.config import Frozen, PositiveInt, Share, YamlDumper, parse, read_yaml
from trainables.errors import InvalidInput


class Inner(Frozen):
    """Configuration with a number that may be left out, and a switch."""

    count: PositiveInt = 1
    flip: bool = False


class Outer(Frozen):
    """Configuration with numbers at every place where a number can stand."""

    hours: float | None = None
    gpu: float | str = 0.0
    shares: tuple[Share, ...] = ()
    inner: Inner = Inner()
    several: tuple[Inner, ...] = ()
    first: tuple[dict[str, float | int | str | None], ...] = ()
    settings: dict[str, bool | int | float | str | None] = {}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("5e-2", 0.05),
        ("1E5", 1e5),
        ("-2e3", -2000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1.0e-05", 1e-5),
        ("12", 12),
        ("010", 10),
        ("-7", -7),
        ("0x1f", 31),
        ("0o17", 15),
        ("1_000", 1000),
        ("1:30", "1:30"),
        ("1:30.5", "1:30.5"),
        ("1e", "1e"),
        ("e3", "e3"),
        ("1.2.3", "1.2.3"),
        ("'1e-3'", "1e-3"),
        ("0b11", "0b11"),
        ("yes", True),
        ("off", False),
        ("~", None),
    ],
)
def test_numbers_are_what_people_mean_by_them(text: str, value: Any) -> None:
    found = read_yaml(f"a: {text}", "x.yaml")["a"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("resolved", [False, True])
def test_what_is_written_reads_back_the_same(resolved: bool) -> None:
    texts = ["1e-3", "1:30", "010", "0o17", "0b11", "1_000", "yes", "2020-01-01", ".inf", "a: b", "1e3", "-", "."]
    numbers: list[Any] = [1e-5, 5e-324, 1e300, 0.1, 100.0, -3, 0, 10**18, True, None]
    data = {"texts": texts, "numbers": numbers}
    text = yaml.dump(data, Dumper=YamlDumper)
    assert read_yaml(text, "x.yaml", resolved=resolved) == data
    assert [type(one) for one in read_yaml(text, "x.yaml")["numbers"]] == [type(one) for one in numbers]


def test_a_study_that_an_earlier_version_wrote_keeps_its_texts() -> None:
    assert read_yaml("a: 1e-3", "study.yaml", resolved=True) == {"a": "1e-3"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("hours: true", "hours: got true, expected a number"),
        ("gpu: yes", "gpu: got true, expected a number"),
        ("shares: [0.5, off]", "shares.1: got false, expected a number"),
        ("inner: {count: true, flip: true}", "inner.count: got true, expected a number"),
        ("several: [{}, {count: true}]", "several.1.count: got true, expected a number"),
        ("first: [{epochs: true}]", "first.0.epochs: got true, expected a number"),
    ],
)
def test_true_is_no_number_wherever_one_is_expected(text: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(Outer, read_yaml(text, "x.yaml"))
    assert refused.value.problems == (problem,)


def test_true_stays_true_where_it_may_stand() -> None:
    built = parse(Outer, read_yaml("{inner: {flip: on}, settings: {a: true, b: 1e-3}}", "x.yaml"))
    assert built.inner.flip is True
    assert built.settings == {"a": True, "b": 0.001}


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


def test_what_two_references_mean_can_be_changed_in_one_place() -> None:
    read = read_yaml("a: &a {b: {c: 1}, d: [1]}\ne: *a\nf: {<<: *a}\ng: [*a, *a]\n", "x.yaml")
    read["e"]["b"]["c"] = read["f"]["d"][0] = read["g"][0]["b"]["c"] = 2
    assert read["a"] == read["g"][1] == {"b": {"c": 1}, "d": [1]}
