"""What a user brings: functions named as `module:function`, from the working directory or an installed package."""

import importlib
import os
import re
import sys
from collections.abc import Callable
from typing import Any, cast

from trainables.errors import InvalidInput

REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def is_reference(name: str) -> bool:
    """Whether a name has the form `package.module:function`."""
    return REFERENCE.fullmatch(name) is not None


def own_function(reference: str, where: str) -> Callable[..., Any]:
    """Import `module:function`.

    Args:
        reference: `package.module:function`.
        where: the key of the study that names it, for messages.

    Raises:
        InvalidInput: there is no such module or function, or importing the module fails.
    """
    module, _, name = reference.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # last, so that a folder there cannot stand in for a package of Temper's
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, SyntaxError) as error:
        raise InvalidInput(f"{where}: got {reference!r}, which cannot be imported ({error})") from error
    if not callable(function):
        raise InvalidInput(f"{where}: got {reference!r}, expected a function")
    return cast(Callable[..., Any], function)
