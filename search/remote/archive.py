"""Packs a run's report, frontier and records into text, so that a Ray Job can send them home by printing them.

The job works wherever the run directory is, since nodes of the cluster can read it. It runs:
python -m search.remote.archive RUN
"""

import base64
import io
import json
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryFile

from analysis.run.format import FETCHED
from trainables.errors import InvalidInput, TemperError
from trainables.storage import Folder

FILES = ("report.html", "frontier.json", "frontier.csv", "study.yaml", "run.json")
BEGIN, END = "-----BEGIN TEMPER PARCEL-----", "-----END TEMPER PARCEL-----"


def pack(run: Folder) -> str:
    """Return those of the files that the run has, as lines of text between two marks.

    Raises:
        InvalidInput: the run has none of them.
    """
    content = io.BytesIO()
    names = [name for name in FILES if run.exists(name)]
    if not names:
        raise InvalidInput(f"{run}: not a run")
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name in names:
            data = run.read(name)
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return f"{BEGIN}\n{base64.encodebytes(content.getvalue()).decode()}{END}"


def lies_there(run: Folder, folder: Path) -> bool:
    """Return whether a folder of this machine is the run itself, whose storage it shares with the cluster."""
    same = run.local is not None and run.local.resolve() == folder.resolve()
    return same and (folder / "run.json").exists() and not (folder / FETCHED).exists()


def check_place(folder: Path) -> None:
    """Refuse a folder to which no archive may be unpacked.

    Raises:
        InvalidInput: it holds a run that was not fetched, which would be written over, or it cannot be written.
    """
    if (folder / "run.json").exists() and not (folder / FETCHED).exists():
        raise InvalidInput(f"{folder}: is a run of its own, which would be written over; choose another --output")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InvalidInput(f"{folder}: cannot be written ({error.strerror}); choose another --output") from None


def unpack(printed: str, folder: Path, run: str) -> list[Path]:
    """Write the files of an archive into a folder. Files of other names than FILES are ignored.

    A further file says where the run itself lies, so that nobody takes the folder for it.

    Args:
        printed: text that contains the lines of `pack`, among others.
        folder: the folder to write to, which is made if it does not exist.
        run: path or URI of the run on the cluster.

    Returns:
        The files written.

    Raises:
        TemperError: there is no whole archive in the text.
    """
    try:
        body = printed.split(BEGIN, 1)[1].split(END, 1)[0]
        content = base64.b64decode("".join(body.split()), validate=True)
        written = []
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            folder.mkdir(parents=True, exist_ok=True)
            for entry in archive:
                data = archive.extractfile(entry) if entry.isreg() and entry.name in FILES else None
                if data is not None:
                    (folder / FETCHED).write_text(json.dumps({"run": run}))
                    (folder / entry.name).write_bytes(data.read())
                    written.append(folder / entry.name)
    except (IndexError, ValueError, tarfile.TarError, EOFError, OSError) as error:
        raise TemperError(f"no whole archive came back ({error})") from None
    return written


def main() -> int:
    """Print the archive of the run that the command line names, and return the exit code."""
    try:
        print(pack(Folder(sys.argv[1])))
    except TemperError as error:
        print(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
