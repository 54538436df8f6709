"""Frozen, typed configuration and the one place that turns validation errors into lines for people."""

from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from trainables.errors import InvalidInput


class Frozen(BaseModel):
    """Base of every configuration: immutable, unknown keys are errors, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Model = TypeVar("Model", bound=Frozen)


def parse(model: type[Model], data: object, *, where: str = "") -> Model:
    """Validate plain data (as YAML or JSON gives it) into a frozen model.

    Args:
        model: the type to build.
        data: nested dicts, lists and scalars.
        where: what the data is called in messages, e.g. a file name.

    Raises:
        InvalidInput: with one line per problem, `path.to.key: got X, expected Y`.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        prefix = f"{where}: " if where else ""
        problems = [prefix + _line(model, problem) for problem in error.errors(include_url=False)]
        raise InvalidInput(*dict.fromkeys(problems)) from None


def _line(model: type[BaseModel], problem: Any) -> str:
    """One of pydantic's problems as `path: got X, expected Y`."""
    kind, context, got, location = problem["type"], problem.get("ctx", {}), problem["input"], problem["loc"]
    path, owners = _resolve(model, location)
    if kind == "extra_forbidden":
        known = sorted({key for owner in owners for key in owner.model_fields})
        close = get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
        return f"{path}: unknown key, {hint}"
    if kind == "value_error":
        return f"{path}: {context['error']}" if path else str(context["error"])
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        key = context["discriminator"].strip("'")
        tags = context.get("expected_tags") or "one of the known kinds"
        return f"{path}.{key}: got {context.get('tag')!r}, expected {tags}"
    expected = context["expected"] if kind == "literal_error" else _described(owners, location)
    if kind == "missing":
        return f"{path}: missing" + (f", expected {expected}" if expected else "")
    return f"{path or 'top level'}: got {got!r}, expected {expected or _expected(kind, context, problem['msg'])}"


_BOUNDS = {
    "greater_than": "> {gt}",
    "greater_than_equal": ">= {ge}",
    "less_than": "< {lt}",
    "less_than_equal": "<= {le}",
}
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "string": "text",
    "bool": "true or false",
    "model": "a group of keys",
    "tuple": "a list",
    "dict": "a group of keys",
}


def _expected(kind: str, context: dict[str, Any], message: str) -> str:
    if kind in _BOUNDS:
        return "a number " + _BOUNDS[kind].format(**context)
    return _TYPES.get(kind.split("_")[0], message[:1].lower() + message[1:])


def _resolve(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[str, list[type[BaseModel]]]:
    """The path as the user wrote it (pydantic adds a tag where kinds differ), and the models that own its last key."""
    path: list[str] = []
    owners, inner = [model], [model]
    for part in location:
        if part == "[key]":
            continue  # pydantic's word for a key that is wrong itself
        with_field = [one for one in inner if part in one.model_fields]
        tagged = [one for one in inner if any(part in get_args(f.annotation) for f in one.model_fields.values())]
        if with_field:
            owners, inner = with_field, _models(with_field[0].model_fields[str(part)].annotation)
        elif isinstance(part, str) and tagged:
            inner = tagged
            continue
        elif isinstance(part, str):
            owners = inner  # an unknown key of these
        path.append(str(part))
    return ".".join(path), owners


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Every model type inside an annotation such as `tuple[A | B, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _described(owners: list[type[BaseModel]], location: tuple[int | str, ...]) -> str | None:
    """What the field at `location` says of itself."""
    fields = [owner.model_fields.get(str(location[-1])) for owner in owners] if location else []
    return next((field.description for field in fields if field and field.description), None)
