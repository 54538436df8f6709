"""Writes docs/study-keys.md, every key of a study, from the types: `python -m tests.support.study_reference`."""

import inspect
import re
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from analysis.pareto.reference_point import Limit
from search.study.constraints import Bound
from search.study.study import Study
from tests.support.checkout import ROOT

PAGE = ROOT / "docs" / "study-keys.md"
HEAD = """# Every key of a study
Written from the types that read it, so it is complete; [studies](studies.md) says what the keys are for. A key without
a default must be given. Where a list is expected, one value may stand for a list of one.
"""
AS_TEXT = {
    "Bound": "text such as `clean_accuracy >= 0.85` or `inference_macs <= 0.3 of dense`",
    "Limit": "number, or text such as `0.8 of reference`",
}  # types that are written as text
PLAIN = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text", type(None): "`null`"}
KINDS = ("kind", "method")  # keys that say which of several types is meant
BOUNDS = ((Gt, "gt", "above"), (Ge, "ge", "at least"), (Lt, "lt", "below"), (Le, "le", "at most"))


def page() -> str:
    """Return the page: a table for each type, the study's own first, others in the order in which they are named."""
    return "\n".join([HEAD, *(_section(model) for model in _models())]) + "\n"


def _models() -> list[type[BaseModel]]:
    found: list[type[BaseModel]] = [Study]
    for model in found:  # it grows while it is gone through
        for field in model.model_fields.values():
            found += [one for one in within(field.annotation) if one not in found and one.__name__ not in AS_TEXT]
    return found


def within(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that a type such as `tuple[A | B, ...] | None` is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from within(argument)


def _section(model: type[BaseModel]) -> str:
    about, meanings = _documented(model)
    rows = [
        f"| `{name}` | {meanings.get(name, '')} | {_type(field.annotation, field.metadata, field.description)} | "
        f"{_default(field)} |"
        for name, field in model.model_fields.items()
    ]
    return "\n".join(
        [f"## {model.__name__}", about, "", "| key | meaning | value | default |", "|---|---|---|---|", *rows, ""]
    )


def _documented(model: type[BaseModel]) -> tuple[str, dict[str, str]]:
    """Return the first paragraph of a model's docstring, and what it and those that it is made of say of each key."""
    meanings: dict[str, str] = {}
    for one in reversed(model.__mro__):
        document = inspect.cleandoc(one.__doc__ or "") if issubclass(one, BaseModel) and one is not BaseModel else ""
        for names, text in re.findall(r"^    (\w+(?:, \w+)*): (.*(?:\n {8}.*)*)", document, re.MULTILINE):
            meanings |= {name: _cell(text) for name in names.split(", ")}
    return _cell(inspect.cleandoc(model.__doc__ or "").split("\n\n")[0]), meanings


def _cell(text: str) -> str:
    words = re.sub(r"\s+", " ", text).strip().replace("|", "\\|")
    return re.sub(r"\bNone\b", "`null`", words)


def _type(annotation: Any, metadata: list[Any], description: str | None = None) -> str:
    """Return in words what may be given."""
    if description:
        return _cell(description)
    words = _plain(annotation)
    bounds = [
        f"{said} {getattr(one, name):g}" for one in metadata for kind, name, said in BOUNDS if isinstance(one, kind)
    ]
    lengths = [f"at least {one.min_length}" for one in metadata if isinstance(one, MinLen)]
    lengths += [f"at most {one.max_length}" for one in metadata if isinstance(one, MaxLen)]
    told = next((one.description for one in metadata if getattr(one, "description", None)), None)
    return _cell(told) if told else ", ".join([words, *bounds, *lengths])


def _plain(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner, *metadata = arguments
        described = next((one.description for one in metadata if isinstance(one, FieldInfo) and one.description), None)
        spread = [part for one in metadata for part in (one.metadata if isinstance(one, FieldInfo) else [one])]
        return _type(inner, spread, described)
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_plain(one) for one in arguments))
    if origin is tuple:
        inner = [_plain(one) for one in arguments if one is not Ellipsis]
        return f"list of {inner[0]}" if Ellipsis in arguments else f"list of {len(inner)}: {', '.join(inner)}"
    if origin is dict:
        return f"mapping of {_plain(arguments[0])} to {_plain(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        name = annotation.__name__
        return AS_TEXT.get(name, f"[{name}](#{name.lower()})")
    return PLAIN.get(annotation, "text")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return ""
    value = field.get_default(call_default_factory=True)
    shown = _yaml(value)
    return "its defaults" if shown == "{}" and isinstance(value, BaseModel) else f"`{shown}`"


def _yaml(value: Any) -> str:
    """Return a value as YAML on one line."""
    if isinstance(value, Bound | Limit):
        return str(value)
    if isinstance(value, BaseModel):
        shown = [name for name in type(value).model_fields if name in value.model_fields_set or name in KINDS]
        return _yaml({name: getattr(value, name) for name in shown})
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_yaml(one) for one in value) + "]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(value) or '""'


if __name__ == "__main__":
    PAGE.write_text(page())
