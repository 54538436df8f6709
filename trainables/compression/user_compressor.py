"""Makes the user's own compression method.

The study says `compression: {method: "module:function", steps: 2, settings: {share: 0.5}}`. The function is called as
`function(steps=2, seed=0, share=0.5)` and returns a `trainables.compression.compressor.Compressor` for one network.
"""

from trainables.compression.compressor import Compressor
from trainables.compression.config import UserCompression
from trainables.errors import InvalidInput
from trainables.user_code import user_function
from trainables.user_errors import misfit, reported

MEMBERS = ("step", "attach", "plain", "bits", "deploy")


def user_compressor(config: UserCompression, *, seed: int, where: str = "compression") -> Compressor:
    """Calls the user's function and returns the compressor that it makes.

    Args:
        config: names the function and its settings.
        seed: seed of the recipe.
        where: the study's key that holds the configuration, for messages.

    Raises:
        InvalidInput: there is no such function, it is not trusted, it does not take these arguments or fails, or it
            returns no compressor.
    """
    function = user_function(config.method, f"{where}.method")
    arguments = {"steps": config.steps, "seed": seed, **config.settings.values()}
    if problem := misfit(function, **arguments):
        raise InvalidInput(
            f"{where}: {config.method} does not take the keyword arguments {', '.join(arguments)} {problem}"
        )
    with reported(f"{where}: {config.method}", ": fails when it is called"):
        made = function(**arguments)
    missing = [name for name in MEMBERS if not callable(getattr(made, name, None))]
    if missing or not isinstance(made, Compressor):
        raise InvalidInput(
            f"{where}.method: {config.method} gave a {type(made).__name__} without {', '.join(missing)}; expected "
            "an object of a class that subclasses trainables.compression.compressor.Compressor"
        )
    return made
