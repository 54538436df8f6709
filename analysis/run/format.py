"""The format of what a search leaves: a run or an export of a later version is refused, rather than misread."""

from collections.abc import Mapping
from typing import Any

from trainables.errors import InvalidInput

FORMAT = 1  # of run directories and of exported recipes; raised when an older version would misread a newer file


def check_format(content: Mapping[str, Any], where: str) -> None:
    """Check that this version can read a record. One without a format is of the first.

    Args:
        content: of run.json, or of an exported recipe.
        where: the file, for messages.

    Raises:
        InvalidInput: it is of a later format, or of none that there ever was.
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
    """Which version wrote a record, as far as it says."""
    provenance = content.get("provenance")
    versions = provenance.get("versions") if isinstance(provenance, dict) else None
    version = versions.get("temper") if isinstance(versions, dict) else None
    return f"Temper {version}" if version else "a later version of Temper"
