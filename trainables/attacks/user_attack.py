"""Makes the user's own attack, which a study names as `module:function`.

The function is called with keyword arguments: `epsilon` (the study's, or a share of it during the warm-up), `norm`, and
the study's `settings`. It returns an object that follows `trainables.attacks.attack.Attack`. Training calls the
function for every batch, so that an attack keeps nothing from batch to batch, and an interrupted trial continues as if
it had not been interrupted.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from trainables.attacks.attack import Attack
from trainables.attacks.config import UserAttack
from trainables.errors import InvalidInput, TemperError
from trainables.user_code import user_function
from trainables.user_errors import failure, misfit
from trainables.user_modules import user_folders

KEY = "perturbation.kind"


def user_attack(config: UserAttack, share: float = 1.0, *, where: str = KEY) -> Attack:
    """Calls the user's function and returns the attack that it makes.

    Args:
        config: names the function, and holds the values that it is called with.
        share: share of epsilon, (0–1].
        where: the study's key that names the function, for messages.

    Raises:
        InvalidInput: there is no such function, it does not take these arguments, it fails, or it returns no attack.
    """
    function = _function(config.kind, where, tuple(user_folders()))
    arguments = {"epsilon": share * config.epsilon, "norm": config.norm, **config.settings}
    try:
        attack = function(**arguments)
    except TemperError:
        raise
    except (Exception, SystemExit) as error:  # the user's function may raise anything
        if refused := misfit(function, **arguments):
            raise InvalidInput(
                f"{where}: {config.kind} does not take the keyword arguments {', '.join(arguments)} {refused}"
            ) from error
        raise failure(f"{where}: {config.kind} failed", error) from error
    if problem := _unlike(attack, config):
        raise InvalidInput(f"{where}: {config.kind} gave {attack!r:.200}, {problem}")
    return cast(Attack, attack)


def check_user_attack(config: UserAttack, where: str) -> None:
    """Checks that a study's own attack can be made and is called with the right arguments; raises InvalidInput."""
    attack = user_attack(config, where=where)
    if problem := misfit(attack, "model", "x", "target", "generator"):
        raise InvalidInput(
            f"{where}: {config.kind} gave {attack!r:.200}, which is not called as "
            f"attack(model, x, target, generator) {problem}"
        )


def _unlike(attack: Any, config: UserAttack) -> str | None:
    """Returns in what an object is not an attack in the configured norm; None where it is one."""
    missing = [name for name in ("passes", "norm", "bound", "sound") if not hasattr(attack, name)]
    if missing or not callable(attack):
        return f"which has no {', '.join([*missing, *([] if callable(attack) else ['__call__'])])}"
    if type(attack.passes) is not int or attack.passes < 0:
        return f"whose passes are {attack.passes!r}, expected a whole number of at least 0"
    if attack.norm != config.norm:
        return f"whose norm is {attack.norm!r}, expected {config.norm!r}, which it was called with"
    if not isinstance(attack.bound, int | float) or not 0 <= attack.bound < math.inf:
        return f"whose bound is {attack.bound!r}, expected a number of at least 0"
    if type(attack.sound) is not bool:
        return f"whose sound is {attack.sound!r}, expected True or False"
    return None


@lru_cache(maxsize=64)
def _function(reference: str, where: str, folders: tuple[Path, ...]) -> Callable[..., Any]:
    """Imports the user's function, once for the folders that it is looked for in, since every batch asks for it."""
    return user_function(reference, where)
