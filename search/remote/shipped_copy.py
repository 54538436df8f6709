"""Imports the user's modules in the folder that is shipped, as other machines will; `python -m` runs it there."""

import sys
from contextlib import suppress
from pathlib import Path

from search.study.study import Study
from trainables.config import parse, read_yaml
from trainables.errors import InvalidInput
from trainables.user_code import references, user_function
from trainables.user_modules import go_to_work

IMAGE, CLASSES = (3, 32, 32), 10  # a usual shape; a network that wants another fails otherwise than by a file


def import_all(study: Study) -> None:
    """Import every function that a study names, and make its network if that is the user's.

    Raises:
        InvalidInput: a module cannot be imported.
        FileNotFoundError: making the network reads a file that is not there.
    """
    for key, reference in references(study).items():
        made = user_function(reference, key)
        if key == "model.name":
            try:
                made(image_shape=IMAGE, classes=CLASSES)
            except FileNotFoundError:
                raise
            except (Exception, SystemExit):  # the shape may not suit it, which the try of the network judges
                continue


def main() -> int:
    """Import what the study names that is given, and return the exit code; the last line of stderr says what fails."""
    go_to_work()
    study = parse(Study, read_yaml(Path(sys.argv[1]).read_bytes(), sys.argv[1]))
    try:
        with suppress(KeyboardInterrupt):
            import_all(study)
    except (InvalidInput, FileNotFoundError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
