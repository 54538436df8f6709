"""Writes a file that the user named, whose place is checked before the work begins that the file is about."""

import os
from pathlib import Path

from trainables.errors import InvalidInput
from trainables.user_path import user_path


def output_file(text: str, key: str) -> Path:
    """Return the path of a file that is to be written; call it before the work whose outcome the file will hold.

    Args:
        text: the path, as the user wrote it.
        key: what it was given as, for messages.

    Raises:
        InvalidInput: no file can be written there.
    """
    path = user_path(text, key)
    if path.is_dir():
        raise InvalidInput(f"{key}: got {text}, which is a folder, expected a file")
    if not (os.access(path, os.W_OK) if path.exists() else os.access(path.parent, os.W_OK | os.X_OK)):
        raise InvalidInput(f"{key}: got {text}, expected a file in a folder that is there and that you may write to")
    return path


def write_output(path: Path, key: str, content: bytes) -> None:
    """Write a file that the user named.

    Args:
        path: the file, from `output_file`.
        key: what it was given as, for messages.
        content: its content.

    Raises:
        InvalidInput: it cannot be written, e.g. since the disk is full.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InvalidInput(f"{key}: got {path}, which cannot be written ({error.strerror or error})") from error
