"""What a user brings: functions named as `module:function`, from the working directory or a module that they trust."""

import importlib
import os
import re
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from trainables.errors import InvalidInput


def known(name: str, names: tuple[str, ...]) -> str:
    """Check that a name is one of these or a reference to a function."""
    if name not in names and not is_reference(name):
        raise ValueError(f"got {name!r}, expected {', '.join(names)} or module:function")
    return name


TRUSTED = "TEMPER_MODULES"  # modules outside the working directory, with commas between
REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def is_reference(name: str) -> bool:
    """Whether a name has the form `package.module:function`."""
    return REFERENCE.fullmatch(name) is not None


def is_trusted(module: str) -> bool:
    """Whether a study may call functions of a module: it lies in the working directory, or TRUSTED names it.

    A study may come from strangers, so it calls nothing that happens to be installed. Nothing is imported to find out.
    """
    top = module.partition(".")[0]
    if top in os.environ.get(TRUSTED, "").split(","):
        return True
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return False
    origin = Path(spec.origin) if spec is not None and spec.origin is not None else None
    if origin is None:
        return spec is None  # there is none, which importing it will say
    here = Path.cwd()  # without links, which what Python imports by may have
    installed = {"site-packages", "dist-packages"} & set(origin.parts)
    own = here in (*origin.parents, *origin.resolve().parents)
    return own and not installed and top not in sys.stdlib_module_names


def own_function(reference: str, where: str) -> Callable[..., Any]:
    """Import `module:function`.

    Args:
        reference: `package.module:function`.
        where: the key of the study that names it, for messages.

    Raises:
        InvalidInput: there is no such module or function, the module is not trusted, or importing it fails.
    """
    module, _, name = reference.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # last, so that a folder there cannot stand in for a package of Temper's
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
