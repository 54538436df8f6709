"""What a user brings: functions named as `module:function`, from the working directory or a module that they trust."""

import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, cast, get_args

from pydantic import BaseModel, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from trainables.errors import InvalidInput


def known(name: str, names: tuple[str, ...]) -> str:
    """Check that a name is one of these or a reference to a function."""
    if name not in names and not is_reference(name):
        raise ValueError(f"got {name!r}, expected {', '.join(names)} or module:function")
    return name


TRUSTED = "TEMPER_MODULES"  # modules outside the working directory, with commas between
NAMING = frozenset({"name", "kind", "method"})  # keys under which a study may name the user's own function
TORCHVISION = "torchvision:"  # names one of its networks, which is no code of the user's
REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


REFERENCE_TAG = "module:function"  # what messages and paths of errors call the kind that is a reference
Reference = Annotated[str, Field(pattern=rf"^{REFERENCE.pattern}$", description=REFERENCE_TAG)]


def is_reference(name: str) -> bool:
    """Whether a name has the form `package.module:function`."""
    return REFERENCE.fullmatch(name) is not None


def references(configuration: BaseModel) -> dict[str, str]:
    """Every function of the user's that a configuration names, so that one list serves hashing, checking and shipping.

    Args:
        configuration: a study or a recipe, whole.

    Returns:
        Path of the key (`model.name`, `baselines.0.perturbation.kind`) to `module:function`, in the order of the keys.
    """
    return dict(_references(configuration.model_dump(mode="json"), ()))


def _references(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _references(inner, (*path, str(key)))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _references(inner, (*path, str(number)))
    elif isinstance(value, str) and not NAMING.isdisjoint(path[-2:]) and _is_users(value):  # or one in a list of names
        yield ".".join(path), value


def _is_users(name: str) -> bool:
    return is_reference(name) and not name.startswith(TORCHVISION)


def source_files(reference: str) -> dict[str, Path]:
    """The source of the user's code behind a reference: its whole top-level package, or its one file. Imports nothing.

    Args:
        reference: `package.module:function`.

    Returns:
        Path below the folder that it is imported from (`package/module.py`) to the file; empty if there is no such
        module, or it has no source.
    """
    place = top_level(reference)
    if place is None:
        return {}
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    return {path.relative_to(place.parent).as_posix(): path for path in files}


def top_level(reference: str) -> Path | None:
    """Where the top-level module of a reference lies: a file, or the folder of a package. Imports nothing."""
    spec = _top_level_spec(reference)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin) if spec.has_location and spec.origin is not None else None


def lies_here(path: Path) -> bool:
    """Whether a file or folder is in the working directory, by its name or by what a link leads to."""
    here = Path.cwd()  # without links, which what Python imports by may have
    return here in (*path.parents, *path.resolve().parents)


def is_trusted(module: str) -> bool:
    """Whether a study may call functions of a module: it lies in the working directory, or TRUSTED names it.

    A study may come from strangers, so it calls nothing that happens to be installed. Nothing is imported to find out.
    """
    top = module.partition(".")[0]
    if top in os.environ.get(TRUSTED, "").split(","):
        return True
    try:
        spec = _top_level_spec(module)
    except (ImportError, ValueError):
        return False
    origin = Path(spec.origin) if spec is not None and spec.origin is not None else None
    if origin is None:
        return spec is None  # there is none, which importing it will say
    installed = {"site-packages", "dist-packages"} & set(origin.parts)
    return lies_here(origin) and not installed and top not in sys.stdlib_module_names


def _top_level_spec(reference: str) -> ModuleSpec | None:
    """Find a module as importing it will; sys.path of the installed command lacks the working directory."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # last, so that a folder there cannot stand in for a package of Temper's
    return find_spec(reference.partition(":")[0].partition(".")[0])


def user_function(reference: str, where: str) -> Callable[..., Any]:
    """Import `module:function`.

    Args:
        reference: `package.module:function`.
        where: the key of the study that names it, for messages.

    Raises:
        InvalidInput: there is no such module or function, the module is not trusted, or importing it fails.
    """
    module, _, name = reference.partition(":")
    if not is_trusted(module):
        raise InvalidInput(
            f"{where}: got {reference!r}, expected a module in the working directory, or one that you trust: "
            f"set {TRUSTED}={module.partition('.')[0]}"
        )
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, SyntaxError) as error:
        raise InvalidInput(f"{where}: got {reference!r}, which cannot be imported ({error})") from error
    if not callable(function):
        raise InvalidInput(f"{where}: got {reference!r}, expected a function")
    return cast(Callable[..., Any], function)


@dataclass(frozen=True)
class OneOf:
    """Marks a union of configurations that one field tells apart, one of which is the user's own `module:function`.

    It stands in `Annotated` where `Field(discriminator=...)` would, which knows listed values only.

    Attributes:
        field: the one that tells them apart. Each member lists its value as a Literal, but for the user's own, whose
            field is a `Reference`.
    """

    field: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Pydantic's hook for what a marker makes of a type."""
        choices = members(source, self.field)

        def tag(given: Any) -> Any:
            if isinstance(given, BaseModel):
                value = getattr(given, self.field, None)
            elif isinstance(given, dict):
                value = given.get(self.field)
            else:
                return next(iter(choices))  # which will say that it is no group of keys
            return REFERENCE_TAG if isinstance(value, str) and is_reference(value) else value

        tag.__name__ = self.field  # which pydantic's errors name
        schemas = {name: handler.generate_schema(model) for name, model in choices.items()}
        return core_schema.tagged_union_schema(schemas, tag)


def members(union: Any, field: str) -> dict[str, Any]:
    """The configurations of a union by the value that tells them apart, the user's own by `REFERENCE_TAG`."""
    inner = get_args(union)[0] if hasattr(union, "__metadata__") else union  # what Annotated is about
    models = get_args(inner)
    return {next(iter(get_args(model.model_fields[field].annotation)), REFERENCE_TAG): model for model in models}
