"""Reads run.json. A run or an export in the format of a later version is refused, rather than misread."""

import os
from collections.abc import Mapping
from typing import Any

from trainables.errors import InvalidInput
from trainables.storage import Folder

FORMAT = 1  # format of run directories and exported recipes; raised when an older version would misread a newer file
FETCHED = "fetched.json"  # in a folder that holds report and frontier of a run that lies elsewhere


def read_info(folder: Folder) -> dict[str, Any]:
    """Read the run.json of a run.

    Raises:
        InvalidInput: the folder holds no run, or one of a format that this version cannot read, or only what was
            fetched of one.
    """
    try:
        info = dict(folder.read_json("run.json"))
    except (OSError, ValueError, TypeError) as error:
        told = f"{folder}: no readable run.json in it, expected the directory of a run"
        raise InvalidInput(f"{told}{_runs_nearby(folder)}") from error
    if folder.exists(FETCHED):
        raise InvalidInput(f"{folder}: holds what `temper fetch` brought, report and frontier; {_elsewhere(folder)}")
    check_format(info, f"{folder}/run.json")
    return info


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


def _runs_nearby(folder: Folder) -> str:
    """Return which runs were probably meant by a local folder that holds none: those in it, or those called so."""
    place = folder.local
    if place is None:
        return ""
    inside = sorted((path.parent for path in place.glob("*/run.json")), key=str) if place.is_dir() else []
    called_so = [path.parent for path in place.parent.glob(f"*/{place.name}/run.json")] if place.name else []
    near = [str(path) if os.path.isabs(folder.uri) else os.path.relpath(path) for path in inside or called_so]
    return f", such as {' or '.join(near[:2])}" if near else ""


def _elsewhere(folder: Folder) -> str:
    """Return where the run lies of which a folder holds what was fetched, in words."""
    try:
        return f"the run itself is {folder.read_json(FETCHED)['run']}, on the cluster"
    except (OSError, ValueError, TypeError, KeyError):
        return "the run itself is on the cluster"
