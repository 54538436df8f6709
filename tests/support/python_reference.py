"""Writes docs/python.md, what people call from Python: `python -m tests.support.python_reference`."""

from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

import griffe

from tests.support.checkout import ROOT

PAGE = ROOT / "docs" / "python.md"
HEAD = """# From Python
Written from the docstrings of what three of the packages hand on; all else may move between versions.
[README](../README.md#from-python) has an example, [the notebook](first-search.ipynb) a whole walk.
"""
CALLED = {
    "search": ["load_study", "run_study", "resume_run"],
    "analysis": ["load_run", "Results", "Picked"],
    "trainables": ["evaluate_model", "Evaluation", "ThreatModel"],
}
WIDE = 70  # characters of a call, from which on each argument has a line of its own
SECTIONS = {"parameters": "takes", "attributes": "has", "raises": "raises"}  # by griffe's kind of section


def page() -> str:
    """Return the page: packages in the order in which one meets them."""
    return "\n".join([HEAD, *(line for package, names in CALLED.items() for line in _package(package, names))])


def _package(package: str, names: Iterable[str]) -> Iterator[str]:
    yield f"## {package}"
    yield ""
    for name in names:
        one: Any = griffe.load(f"{_module(package, name)}.{name}", search_paths=[str(ROOT)])
        signature = _signature(one) if one.is_function else ""
        yield f"### {package}.{name}"
        yield ""
        if signature:
            yield from ("```python", f"{package}.{name}{signature}", "```", "")
        yield from _docstring(one)
        if one.is_class:
            yield from _members(one)


def _module(package: str, name: str) -> str:
    """Return the name of the module from which a package hands something on."""
    return str(getattr(import_module(package), name).__module__)


def _members(one: Any) -> Iterator[str]:
    rows = []
    for name, member in one.members.items():
        if name.startswith("_") or member.is_alias or (not member.has_docstring and member.is_attribute):
            continue
        call = _signature(member).replace("self, ", "").replace("self", "") if member.is_function else ""
        kind = str(member.returns or "") if member.is_function else str(member.annotation or "")
        rows.append(f"| `{name}{call}` | {_cell(kind)} | {_cell(_text(member))} |")
    if rows:
        yield from ("| member | type | what it is |", "|---|---|---|", *rows, "")


def _signature(function: Any) -> str:
    parts, starred = [], False
    for one in function.parameters:
        if one.kind is griffe.ParameterKind.keyword_only and not starred:
            parts.append("*")
            starred = True
        default = "" if one.default is None else f"={one.default}"
        parts.append(f"{one.name}{default}")
    line = ", ".join(parts)
    return f"({line})" if len(line) < WIDE else "".join(["(", *(f"\n    {part}," for part in parts), "\n)"])


def _docstring(one: Any) -> Iterator[str]:
    for section in _parsed(one):
        if section.kind is griffe.DocstringSectionKind.text:
            yield from (section.value, "")
        else:
            yield from _table(SECTIONS[section.kind.value], section.value)


def _table(heading: str, entries: Iterable[Any]) -> Iterator[str]:
    if heading == "raises":  # of errors there is the type alone
        rows = [f"| `{str(one.annotation).strip('()')}` | {_cell(one.description)} |" for one in entries]
        yield from (f"| {heading} | when |", "|---|---|", *rows, "")
        return
    rows = [f"| `{one.name}` | {_cell(str(one.annotation or ''))} | {_cell(one.description)} |" for one in entries]
    yield from (f"| {heading} | type | meaning |", "|---|---|---|", *rows, "")


def _text(member: Any) -> str:
    """Return a member's docstring in one line, with what it takes and raises."""
    parts = []
    for section in _parsed(member):
        if section.kind is griffe.DocstringSectionKind.text:
            parts.append(section.value)
        else:
            told = [f"`{getattr(one, 'name', None) or one.annotation}`: {one.description}" for one in section.value]
            parts.append(f"{SECTIONS[section.kind.value].capitalize()} {'; '.join(told)}")
    return " ".join(parts)


def _parsed(one: Any) -> list[Any]:
    return list(one.docstring.parse("google")) if one.docstring is not None else []


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").strip("'\"")


if __name__ == "__main__":
    PAGE.write_text(page())
