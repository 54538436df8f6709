"""Provides the base of all configurations, and turns validation errors into lines that people can read."""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from trainables.errors import InvalidInput
from trainables.value_forms import SHORT, how_to_write, number_of

GROUP = "a group of keys"
LISTED, RANGE, SINGLE = "(list)", "(range)", "(number)"  # tags of a field's forms, of which no key of a study has one
MOST_NODES = 100_000  # values that a YAML document may stand for
_INT, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_INT_FORM = re.compile(r"[-+]?([0-9][0-9_]*|0o[0-7]+|0x[0-9a-fA-F]+)$")
_FLOAT_FORM = re.compile(
    r"([-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
)


class Frozen(BaseModel):
    """Base class of every configuration: it cannot be changed, and unknown keys, NaN and infinities are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Model = TypeVar("Model", bound=Frozen)


def parse(model: type[Model], data: object, *, where: str = "") -> Model:
    """Builds a configuration from plain data, as YAML or JSON gives it, and reports all problems at once.

    Args:
        model: the type to build.
        data: nested dicts, lists and scalars.
        where: name of the data in messages, e.g. a file name.

    Raises:
        InvalidInput: the data does not fit the type; one line per problem, `path.to.key: got X, expected Y`.
    """
    prefix = f"{where}: " if where else ""
    try:
        built = model.model_validate(data)
    except ValidationError as error:
        raise refusal(error, model, prefix) from None
    if no_numbers := list(_truths_for_numbers(data, built)):
        raise InvalidInput(*(prefix + one for one in no_numbers))
    return built


def refusal(error: ValidationError, model: type[Frozen] = Frozen, prefix: str = "") -> InvalidInput:
    """Words all that pydantic found wrong, a line each; `model` is what was to be built, where that is known."""
    found = error.errors(include_url=False)
    problems = [prefix + _line(model, one) for one in found if not _only_follows(one, found)]
    return InvalidInput(*dict.fromkeys(problems))


def _truths_for_numbers(data: Any, built: Any, path: str = "") -> Iterator[str]:
    """Yields a line for each true or false of which a number was built, as pydantic does."""
    if isinstance(data, bool):
        value = built[0] if isinstance(built, tuple) and built else built  # one may stand for a list of one
        if not isinstance(value, bool) and isinstance(value, int | float):
            yield f"{path}: got {str(data).lower()}, expected a number"
        return
    pairs: list[tuple[Any, Any, Any]] = []
    if isinstance(data, Mapping):
        held = built[0] if isinstance(built, tuple) and built else built
        pairs = [(key, one, _part(held, key)) for key, one in data.items()]
    elif isinstance(data, list | tuple) and isinstance(built, tuple) and len(data) == len(built):
        pairs = [(number, one, built[number]) for number, one in enumerate(data)]
    for key, one, part in pairs:
        yield from _truths_for_numbers(one, part, f"{path}.{key}" if path else str(key))


def _part(built: Any, key: Any) -> Any:
    return built.get(key) if isinstance(built, Mapping) else getattr(built, str(key), None)


def _only_follows(problem: Any, others: Sequence[Any]) -> bool:
    """Returns whether a list counts as too short only because pydantic does not count its items that are wrong."""
    deeper = (one["loc"][: len(problem["loc"])] == problem["loc"] for one in others if one is not problem)
    return problem["type"] == "too_short" and any(deeper)


class YamlDumper(yaml.SafeDumper):
    """Writes YAML that `read_yaml` and readers of YAML 1.1 take alike: text that is a number to either is in quotes."""


class _Loader(yaml.SafeLoader):
    """Reads numbers as YAML 1.2 does: 1e-3 is one, 1:30 is text, and 010 is ten. Digits may have _ between them."""

    yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in forms if tag not in (_INT, _FLOAT)]
        for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _whole(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node)).replace("_", "").lower()
    return int(text, 0 if "x" in text or "o" in text else 10)


_Loader.add_constructor(_INT, _whole)
for _reader in (_Loader, YamlDumper):
    for _tag, _form in ((_INT, _INT_FORM), (_FLOAT, _FLOAT_FORM)):
        _reader.add_implicit_resolver(_tag, _form, list("-+.0123456789"))


def read_yaml(text: str | bytes, where: str, *, resolved: bool = False) -> Any:
    """Reads plain data from YAML that a stranger may have written.

    Tags that would build objects are refused, and so are references that multiply to a huge document, and keys that one
    group has twice, of which YAML readers silently take the last. What several references mean is read for each, so
    that one can be changed without the others.

    Args:
        text: content of a file, or a single value.
        where: name of the text in messages.
        resolved: whether it is the study.yaml of a run, whose numbers earlier versions wrote in YAML 1.1.

    Raises:
        InvalidInput: the text is not YAML, or it stands for more than `MOST_NODES` values.
    """
    loader = yaml.SafeLoader if resolved else _Loader
    try:
        root = yaml.compose(text, Loader=loader)
        if root is not None and _size(root, {}) > MOST_NODES:
            raise InvalidInput(f"{where}: its references make more than {MOST_NODES:,} values of it")
        if root is not None and (twice := _twice(root)):
            raise InvalidInput(*(f"{where}: {one}" for one in twice))
        return _apart(yaml.load(text, Loader=loader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        told = re.sub(r' in "<(byte|unicode) string>",', " in", " ".join(str(error).split()))
        raise InvalidInput(f"{where}: not YAML: {told}") from None
    except RecursionError:
        raise InvalidInput(f"{where}: not YAML: nested too deeply") from None
    except ValueError as error:  # a scalar looks like a date or a number, but is none
        raise InvalidInput(f"{where}: not YAML: {error}") from None


def _apart(value: Any) -> Any:
    """Returns plain data in which nothing lies at two places: YAML gives all references to a value the same object."""
    if isinstance(value, dict):
        return {key: _apart(inner) for key, inner in value.items()}
    return [_apart(inner) for inner in value] if isinstance(value, list) else value


def _size(node: Any, known: dict[int, int]) -> int:
    """Counts the values that a YAML node stands for, with every reference followed; `known` keeps the counts."""
    if id(node) not in known:
        known[id(node)] = MOST_NODES + 1  # stands until it is counted, and for ever for a node that contains itself
        held = [] if isinstance(node, yaml.ScalarNode) else node.value
        parts = [one for entry in held for one in (entry if isinstance(entry, tuple) else (entry,))]
        inner = sum(_size(part, known) for part in parts)
        known[id(node)] = min(1 + inner, MOST_NODES + 1)
    return known[id(node)]


def _twice(root: yaml.Node) -> list[str]:
    """Returns a line for each key that stands twice in one group, with the lines of both."""
    problems: dict[str, None] = {}
    waiting: list[tuple[yaml.Node, str]] = [(root, "")]
    looked_at: set[int] = set()
    while waiting:
        node, path = waiting.pop()
        if isinstance(node, yaml.ScalarNode) or id(node) in looked_at:
            continue
        looked_at.add(id(node))
        lines: dict[str, int] = {}
        for number, entry in enumerate(node.value):
            key, value = entry if isinstance(entry, tuple) else (None, entry)
            name = f"{path}{number if key is None else key.value}"
            if isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                if key.value in lines:
                    problems[f"{name}: stands twice, in lines {lines[key.value]} and {line}, expected it once"] = None
                lines.setdefault(key.value, line)
            waiting.append((value, f"{name}."))
    return list(problems)


def _line(model: type[BaseModel], problem: Any) -> str:
    """Words one of pydantic's problems as `path: got X, expected Y`."""
    kind, context, got, location = problem["type"], problem.get("ctx", {}), problem["input"], problem["loc"]
    path, owners, inside = _resolve(model, location)
    if kind == "extra_forbidden":
        known = sorted({key for owner in owners for key in owner.model_fields})
        close = get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
        return f"{path}: unknown key, {hint}"
    if kind == "value_error":
        return f"{path}: {context['error']}" if path else str(context["error"])
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        key = context["discriminator"].strip("'()")
        tags = context.get("expected_tags") or "one of the known kinds"
        return f"{path}.{key}: got {SHORT.repr(context.get('tag'))}, expected {tags}"
    expected = context["expected"] if kind == "literal_error" else _described(owners, location)
    if kind == "missing":
        return f"{path}: missing" + (f", expected {expected}" if expected else "")
    expected = expected or _expected(kind, context, problem["msg"])
    expected += how_to_write(got, inside, group_expected=expected == GROUP)
    return f"{path or 'top level'}: got {SHORT.repr(got)}, expected {expected}"


_BOUNDS = {"greater_than": ">", "greater_than_equal": ">=", "less_than": "<", "less_than_equal": "<="}
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "string": "text",
    "bool": "true or false",
    "model": GROUP,
    "tuple": "a list",
    "dict": GROUP,
}


def _expected(kind: str, context: dict[str, Any], message: str) -> str:
    if kind in _BOUNDS:
        return f"a number {_BOUNDS[kind]} {next(iter(context.values()))}"
    if kind == "too_short":
        return f"at least {context['min_length']} in the list"
    return _TYPES.get(kind.split("_")[0], message[:1].lower() + message[1:])


def _resolve(
    model: type[BaseModel], location: tuple[int | str, ...]
) -> tuple[str, list[type[BaseModel]], list[type[BaseModel]]]:
    """Returns the path of a key as the user wrote it, the models that its last key belongs to, and those that it holds.

    Left out is a tag that pydantic adds for a union's member: the value that tells it apart, or the name of its class.
    """
    path: list[str] = []
    owners, inner = [model], [model]
    for part in location:
        if part in ("[key]", LISTED, RANGE, SINGLE):
            continue  # pydantic adds the first where the key itself is wrong, and not its value
        with_field = [one for one in inner if part in one.model_fields]
        named = [one for one in inner if one.__name__ == part]
        tagged = [one for one in inner if any(part in _tags(field) for field in one.model_fields.values())]
        if with_field:
            owners, inner = with_field, _models(with_field[0].model_fields[str(part)].annotation)
        elif named or (isinstance(part, str) and tagged):
            inner = named or tagged
            continue
        elif isinstance(part, str):
            owners = inner  # the key is unknown to all of these models
        path.append(str(part))
    return ".".join(path), owners, inner


def _tags(field: FieldInfo) -> tuple[Any, ...]:
    """Returns the tags that pydantic may put into a path for a field: its listed values, and its description."""
    return (*get_args(field.annotation), *([field.description] if field.description else []))


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Returns every model type inside an annotation such as `tuple[A | B, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _described(owners: list[type[BaseModel]], location: tuple[int | str, ...]) -> str | None:
    """Returns the description of the field at `location`, None where it has none."""
    key = next((part for part in reversed(location) if isinstance(part, str)), "")
    told = [owner.model_fields[key] for owner in owners if key in owner.model_fields]
    told = told if location[-1:] == (key,) else [item for field in told for item in _items(field.annotation)]
    return next((one.description for one in told if one.description), None)


def _items(annotation: Any) -> list[FieldInfo]:
    """Returns what is said of the items of a list, in an annotation such as `tuple[Share, ...] | None`."""
    return [one for part in get_args(annotation) for one in ([part] if isinstance(part, FieldInfo) else _items(part))]


def as_list(given: Any) -> Any:
    """Returns what was given for a list, of which one value may stand for a list of one."""
    return given if isinstance(given, list | tuple) else (given,)


Item = TypeVar("Item")
Several = Annotated[tuple[Item, ...], BeforeValidator(as_list)]
PositiveInt = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1, description="a whole number from 0 to 9223372036854775807")]
PositiveFloat = Annotated[float, Field(gt=0)]
Length = Annotated[float, BeforeValidator(number_of), Field(gt=0)]  # for pixels in [0, 1]; may come as a fraction
Share = Annotated[float, Field(ge=0, le=1, description="a number in [0, 1]")]
