"""Checks the format of run directories and exports: one of a later version is refused, rather than misread."""

from collections.abc import Mapping
from typing import Any

from trainables.errors import InvalidInput

FORMAT = 1  # format of run directories and exported recipes; raised when an older version would misread a newer file


def check_format(content: Mapping[str, Any], where: str) -> None:
    """Check that this version of Temper can read a record. A record without a format has the first format.

    Args:
        content: content of run.json or of an exported recipe.
        where: the file, for messages.

    Raises:
        InvalidInput: the record has a later format, or one that no version of Temper wrote.
    """
    found = content.get("format", 1)
    if type(found) is int and 1 <= found <= FORMAT:
        return
    if type(found) is int and found > FORMAT:
        raise InvalidInput(
            f"{where}: got format {found}, expected at most {FORMAT}: {_writer(content)} wrote it; "
            "install a newer Temper to read it"
        )
    raise InvalidInput(
        f"{where}: got format {found!r}, expected {FORMAT}: no version of Temper wrote it; is it damaged?"
    )


def _writer(content: Mapping[str, Any]) -> str:
    """Return which version of Temper wrote a record, as far as the record says so."""
    provenance = content.get("provenance")
    versions = provenance.get("versions") if isinstance(provenance, dict) else None
    version = versions.get("temper") if isinstance(versions, dict) else None
    return f"Temper {version}" if version else "a later version of Temper"
