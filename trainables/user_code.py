"""Finds and imports the user's functions, which a study names as `module:function`.

They come from the study's folder or the working directory, or from a module that the user has said to trust.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast, get_args

from pydantic import BaseModel, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from trainables.errors import InvalidInput
from trainables.user_errors import reported
from trainables.user_modules import imported, spec_of, user_folders
from trainables.user_source import OURS, imported_names, is_installed, modules_beside, place_of, source_of


def known(name: str, names: tuple[str, ...], hint: str = "") -> str:
    """Checks that a name is one of `names`, or has the form `module:function`; raises ValueError with a hint if not."""
    if name not in names and not is_reference(name):
        form = ", a module's name in Python's letters, digits and _" if ":" in name else ""
        raise ValueError(f"got {name!r}, expected {', '.join(names)} or module:function{form}{hint}")
    return name


LISTENERS = "listeners"  # key of functions that are told of a search, and change nothing of it
TRUSTED = "TEMPER_MODULES"  # lists the modules outside the working directory that a study may call, by commas
NAMING = frozenset({"name", "kind", "method", LISTENERS})  # keys under which a study may name the user's own function
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
    """Lists the source files of a user's function and of the modules beside it that it imports. Imports nothing.

    Args:
        reference: `package.module:function`.

    Returns:
        Path below the folder that the module is imported from (`package/module.py`), to the file; empty if there is no
        such module, or it has no source.
    """
    place = top_level(reference)
    if place is None:
        return {}
    files = [path for one in modules_beside(place) for path in source_of(one)]
    return {path.relative_to(place.parent).as_posix(): path for path in files}


def top_level(reference: str) -> Path | None:
    """Finds the file of a reference's top-level module, or the folder if it is a package. Imports nothing.

    None if there is no such module, or it lies in no file.
    """
    spec = spec_of(reference.partition(":")[0])
    return None if spec is None else place_of(spec)


def lies_here(path: Path) -> bool:
    """Returns whether a file or folder lies in one of the user's folders, by its path or once links are resolved."""
    # The working directory has no symbolic links in it, but the paths that Python imports from may have some.
    return any(folder in (*path.parents, *path.resolve().parents) for folder in user_folders())


def is_trusted(module: str) -> bool:
    """Returns whether a study may call functions of a module: it lies in a folder of the user, or TRUSTED names it.

    A study may come from a stranger, so it may not call whatever happens to be installed. Nothing is imported here.
    """
    top = module.partition(".")[0]
    if top in os.environ.get(TRUSTED, "").split(","):
        return True
    try:
        spec = spec_of(module)
    except (ImportError, ValueError):
        return False
    if spec is None:
        return True  # a module that does not exist passes, because importing it gives the better message
    place = place_of(spec)
    if place is None or top in OURS:
        return False
    return lies_here(place) and not is_installed(place)


def user_function(reference: str, where: str) -> Callable[..., Any]:
    """Imports the user's function that a study names.

    Args:
        reference: `package.module:function`.
        where: the study's key that names it, for messages.

    Raises:
        InvalidInput: there is no such module or function, the module is not trusted, or importing it fails.
    """
    module, _, name = reference.partition(":")
    got = f"{where}: got {reference!r}"
    if module.endswith(".py"):
        raise InvalidInput(f"{got}, expected {module.removesuffix('.py')}:{name}, without the ending of the file")
    if module == "__main__":
        raise InvalidInput(
            f"{got}, which is defined in the script or notebook itself; trials run in other processes, so put it into "
            f"a .py file beside it, such as mine.py, and name it mine:{name} (%%writefile mine.py in a notebook)"
        )
    if not is_trusted(module):
        raise InvalidInput(f"{got}, {_untrusted(module.partition('.')[0])}")
    if clash := _clash(reference):
        raise InvalidInput(f"{got}, {clash}")
    with reported(got, ", which cannot be imported"):
        try:
            found = imported(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise  # a module that theirs imports
            looked = " and ".join(map(str, user_folders()))
            raise InvalidInput(f"{got}, which cannot be imported ({error}); looked in {looked}") from None
    function = getattr(found, name, None)
    if function is None:
        raise InvalidInput(f"{got}, which cannot be imported: {found.__file__ or module} has no {name}")
    if not callable(function):
        raise InvalidInput(f"{got}, expected a function")
    return cast(Callable[..., Any], function)


def _untrusted(top: str) -> str:
    if top in OURS:
        return f"but {top} is one of Temper's packages, expected another name for the module"
    return (
        f"expected a module in the study's folder or the working directory, or one that you trust: set {TRUSTED}={top}"
    )


def _clash(reference: str) -> str:
    """Returns what is wrong if the user's code imports a module beside it that is named as one of Temper's packages."""
    place = top_level(reference)
    if place is None or (place.parent / "trainables" / "user_code.py").exists():  # a checkout holds the packages
        return ""
    for path in modules_beside(place):
        for name in sorted(imported_names(path) & OURS):
            if (place.parent / f"{name}.py").exists() or (place.parent / name / "__init__.py").exists():
                return f"but {path.name} imports {name}, which is one of Temper's packages: rename yours"
    return ""


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
