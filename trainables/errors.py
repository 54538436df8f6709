"""The exceptions that Temper raises on purpose; each carries the exit code of the command that meets it."""


class TemperError(Exception):
    """Anything that Temper refuses or gives up on, with a message that names the cause and the fix."""

    exit_code = 1


class InvalidInput(TemperError):
    """What the user gave cannot be run. Holds every problem found, one line each."""

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Unsound(InvalidInput):
    """A cluster on which a search would go wrong. Holds every finding, with its fix."""


class NoTrialSucceeded(TemperError):
    """A search ended without a single finished recipe."""

    exit_code = 3


class StorageFull(TemperError):
    """There is no room left to write a file of the run."""
