"""Finds and imports the user's functions, which a study names as `module:function`.

They come from the working directory, or from a module that the user has said to trust.
"""

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
    """Checks that a name is one of `names`, or has the form `module:function`; raises ValueError if not."""
    if name not in names and not is_reference(name):
        raise ValueError(f"got {name!r}, expected {', '.join(names)} or module:function")
    return name


TRUSTED = "TEMPER_MODULES"  # lists the modules outside the working directory that a study may call, by commas
NAMING = frozenset({"name", "kind", "method"})  # keys under which a study may name the user's own function
TORCHVISION = "torchvision:"  # begins the name of one of torchvision's networks, which is no code of the user's
REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


REFERENCE_TAG = "module:function"  # stands for a user's function in messages, in place of the values that are listed
Reference = Annotated[str, Field(pattern=rf"^{REFERENCE.pattern}$", description=REFERENCE_TAG)]


def is_reference(name: str) -> bool:
    """Returns whether a name has the form `package.module:function`."""
    return REFERENCE.fullmatch(name) is not None


def references(configuration: BaseModel) -> dict[str, str]:
    """Lists every function of the user's that a configuration names.

    This one list is used wherever the user's code is hashed, checked or sent to other nodes.

    Args:
        configuration: a whole study or recipe.

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
    elif isinstance(value, str) and not NAMING.isdisjoint(path[-2:]) and _is_users(value):  # alone or in a list
        yield ".".join(path), value


def _is_users(name: str) -> bool:
    return is_reference(name) and not name.startswith(TORCHVISION)


def source_files(reference: str) -> dict[str, Path]:
    """Lists the source files of a user's function: its whole top-level package, or its one file. Imports nothing.

    Args:
        reference: `package.module:function`.

    Returns:
        Path below the folder that the module is imported from (`package/module.py`), to the file; empty if there is no
        such module, or it has no source.
    """
    place = top_level(reference)
    if place is None:
        return {}
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    return {path.relative_to(place.parent).as_posix(): path for path in files}


def top_level(reference: str) -> Path | None:
    """Finds the file of a reference's top-level module, or the folder if it is a package. Imports nothing.

    None if there is no such module, or it lies in no file.
    """
    spec = _top_level_spec(reference)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin) if spec.has_location and spec.origin is not None else None


def lies_here(path: Path) -> bool:
    """Returns whether a file or folder is in the working directory, by its path or once links are resolved."""
    here = Path.cwd()  # has no symbolic links in it, but the paths that Python imports from may have some
    return here in (*path.parents, *path.resolve().parents)


def is_trusted(module: str) -> bool:
    """Returns whether a study may call functions of a module: it lies in the working directory, or TRUSTED names it.

    A study may come from a stranger, so it may not call whatever happens to be installed. Nothing is imported here.
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
        return spec is None  # a module that does not exist passes, because importing it gives the better message
    installed = {"site-packages", "dist-packages"} & set(origin.parts)
    return lies_here(origin) and not installed and top not in sys.stdlib_module_names


def _top_level_spec(reference: str) -> ModuleSpec | None:
    """Finds a top-level module just as importing it will.

    The working directory is added to sys.path, because the installed `temper` command lacks it.
    """
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # last, so that a folder there cannot replace one of Temper's packages
    return find_spec(reference.partition(":")[0].partition(".")[0])


def user_function(reference: str, where: str) -> Callable[..., Any]:
    """Imports the user's function that a study names.

    Args:
        reference: `package.module:function`.
        where: the study's key that names it, for messages.

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
    """Marks a union of configurations in which one member is for the user's own `module:function`.

    It is used in `Annotated` in place of `Field(discriminator=...)`, which can tell apart only values that are listed.

    Attributes:
        field: name of the field that tells the members apart. Each member lists its value as a Literal; the member for
            the user's own has a `Reference` instead.
    """

    field: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Builds the union's schema; pydantic calls this for every marker in `Annotated`."""
        choices = members(source, self.field)

        def tag(given: Any) -> Any:
            if isinstance(given, BaseModel):
                value = getattr(given, self.field, None)
            elif isinstance(given, dict):
                value = given.get(self.field)
            else:
                return next(iter(choices))  # any member will do: it refuses a value that is no group of keys
            return REFERENCE_TAG if isinstance(value, str) and is_reference(value) else value

        tag.__name__ = self.field  # pydantic's errors show this name
        schemas = {name: handler.generate_schema(model) for name, model in choices.items()}
        return core_schema.tagged_union_schema(schemas, tag)


def members(union: Any, field: str) -> dict[str, Any]:
    """Returns the members of a union by the value that tells them apart; the user's own by `REFERENCE_TAG`."""
    inner = get_args(union)[0] if hasattr(union, "__metadata__") else union  # the type inside Annotated
    models = get_args(inner)
    return {next(iter(get_args(model.model_fields[field].annotation)), REFERENCE_TAG): model for model in models}
