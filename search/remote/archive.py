"""The files of a run that people take home, as text: a Ray Job can print it, wherever the run directory is.

python -m search.remote.archive RUN
"""

import base64
import io
import sys
import tarfile
from pathlib import Path

from trainables.errors import InvalidInput, TemperError
from trainables.storage import Folder

FILES = ("report.html", "frontier.json", "frontier.csv", "study.yaml", "run.json")
BEGIN, END = "-----BEGIN TEMPER PARCEL-----", "-----END TEMPER PARCEL-----"


def pack(run: Folder) -> str:
    """Every one of the files that is there, as lines between two marks. Raises InvalidInput if none is."""
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


def unpack(printed: str, folder: Path) -> list[Path]:
    """Write what was packed into a folder: of the known names alone, whatever the archive holds.

    Args:
        printed: text with the lines of `pack` among others.
        folder: made if it is not there.

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
                    (folder / entry.name).write_bytes(data.read())
                    written.append(folder / entry.name)
    except (IndexError, ValueError, tarfile.TarError, EOFError, OSError) as error:
        raise TemperError(f"no whole archive came back ({error})") from None
    return written


def main() -> int:
    """Print a run's archive."""
    try:
        print(pack(Folder(sys.argv[1])))
    except TemperError as error:
        print(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
