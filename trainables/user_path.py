"""Reads a path that the user wrote, and refuses in words what no file can be called."""

from errno import ENOENT, ENOTDIR
from pathlib import Path

from trainables.errors import InvalidInput


def user_path(text: str, key: str) -> Path:
    """Returns a path that the user wrote, whose leading `~` is expanded; what lies there may be missing.

    Args:
        text: the path.
        key: what it was given as, for messages.

    Raises:
        InvalidInput: no path can be so, no home folder is known, or it lies where this process may not look.
    """
    try:
        path = Path(text).expanduser()
        path.stat()
    except RuntimeError:
        raise InvalidInput(f"{key}: got {text}, of which no home folder is known, expected the path in full") from None
    except ValueError:
        raise InvalidInput(f"{key}: got {text!r:.200}, expected the characters of a path") from None
    except OSError as error:
        if error.errno not in (ENOENT, ENOTDIR):
            raise InvalidInput(f"{key}: got {text!r:.200}, expected another path ({error.strerror})") from None
    return path
