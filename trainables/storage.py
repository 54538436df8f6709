"""Reads and writes folders on local disk, NFS or object storage; all access to a run directory goes through here."""

import json
import os
import shlex
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from pyarrow import fs
from pydantic_core import from_json

from trainables.errors import InvalidInput

LISTINGS = (
    5  # times that a folder is looked for; one repetition sufficed in 300,000 listings beside a process that made it
)
AT_ONCE = 16  # requests to remote storage; Arrow keeps 25 connections
_LOCAL = fs.LocalFileSystem()
Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Folder:
    """One folder on a local or remote filesystem; it is cheap to copy and to send to another process.

    Attributes:
        uri: the storage as the user wrote it: a path, whose leading `~` is expanded, or an `s3://`, `gs://`, … URI,
            with Arrow's options after a `?` if any, e.g. `s3://bucket/runs?endpoint_override=minio.example:9000`.
        parts: names of the folders on the way from there to this folder.
    """

    uri: str
    parts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Expands a leading `~`, and refuses (InvalidInput) a URI with a password, which would appear in messages."""
        user, at, _ = self.uri.partition("://")[2].partition("/")[0].rpartition("@")
        if at and ":" in user:
            raise InvalidInput("storage: got a URI with a password, expected none: set it as the cloud's own tools do")
        if self.uri.startswith("~"):
            expanded = os.path.expanduser(self.uri)
            if expanded == self.uri:
                raise InvalidInput(f"{self.uri}: no home folder of that user is known; write the path in full")
            object.__setattr__(self, "uri", expanded)

    def child(self, *parts: str) -> "Folder":
        """Returns a folder below this one. Raises InvalidInput for a part that would lead out of this folder."""
        for part in parts:
            if part in ("", ".", "..") or "/" in part or "\\" in part:
                raise InvalidInput(f"{part!r}: not a name for a folder or file")
        return Folder(self.uri, (*self.parts, *parts))

    def __str__(self) -> str:
        root, mark, options = self.uri.partition("?") if self.local is None else (self.uri, "", "")
        return "/".join([root.rstrip("/") or "/", *self.parts]) + mark + options

    @property
    def typed(self) -> str:
        """The folder as it is typed in a shell: quoted where it has spaces, or a URI has `?` and `&`."""
        return shlex.quote(str(self))

    @property
    def name(self) -> str:
        """The folder's own name, without the path to it."""
        return self.local.name if self.local is not None else str(self).partition("?")[0].rpartition("/")[2]

    @property
    def local(self) -> Path | None:
        """The folder as a local path, or None where the storage is remote."""
        path = self._path()
        return None if path is None else Path(path)

    def anchored(self) -> "Folder":
        """Returns the same folder by its absolute path, for processes that have another working directory."""
        return self if self.local is None else Folder(str(self.local))

    def write(self, name: str, content: bytes, *, lasting: bool = False) -> None:
        """Writes one file so that a reader sees all of it or nothing of it.

        A local file is written under another name and then renamed; an object store shows a file once it is closed.

        Args:
            name: the file's name.
            content: its content.
            lasting: whether it is still whole after a loss of power: a local file and its folders are then on the disk
                before this returns, which takes 8 ms on a solid-state disk where it would take 0.1 ms (ext4).

        Raises:
            OSError: the storage is full, or cannot be written; no part of the file is left then.
        """
        system, folder = self._resolve()
        target = f"{folder}/{name}"
        if not isinstance(system, fs.LocalFileSystem):
            system.create_dir(folder, recursive=True)
            _write(system, target, content)
            return
        # The name is unique because two processes may write the same file: one that the driver believes dead, since
        # the connection to it was lost, and the one that has replaced it.
        staging = f"{target}.{uuid4().hex}.partial"
        place = Path(folder)
        changed = [place, *(one.parent for one in (place, *place.parents) if lasting and not one.is_dir())]
        try:
            system.create_dir(folder, recursive=True)
            _write(system, staging, content)
            if lasting:
                _sync(staging)
            system.move(staging, target)
        except OSError:
            with suppress(OSError):
                system.delete_file(staging)
            raise
        for one in changed if lasting else ():
            with suppress(OSError):  # some filesystems have no such operation on folders
                _sync(one)

    def create(self, name: str, content: bytes) -> bool:
        """Makes one local file unless there is one of that name, and returns whether it did.

        Of several processes that try at once, also on other machines through NFS, exactly one succeeds. A reader may
        see the file empty for a moment.

        Raises:
            OSError: the folder cannot be written, or is full; no part of the file is left then.
            ValueError: the folder is not local, and its storage has no such operation that Arrow offers.
        """
        local = self.local
        if local is None:
            raise ValueError(f"{self}: files can be created exclusively in local folders only")
        local.mkdir(parents=True, exist_ok=True)
        try:
            file = os.open(local / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return False
        try:
            with os.fdopen(file, "wb") as stream:
                stream.write(content)
        except OSError:
            (local / name).unlink()
            raise
        return True

    def read(self, name: str) -> bytes:
        """Returns the content of one file. Raises FileNotFoundError."""
        system, folder = self._resolve()
        with system.open_input_stream(f"{folder}/{name}") as stream:
            return bytes(stream.read())

    def write_json(self, name: str, content: object, *, lasting: bool = False) -> None:
        """Writes plain data as indented JSON. Raises ValueError for NaN and infinities, which JSON cannot express."""
        self.write(name, json.dumps(content, indent=1, allow_nan=False).encode() + b"\n", lasting=lasting)

    def read_json(self, name: str) -> Any:
        """Reads a JSON file. Raises FileNotFoundError, or ValueError for a file that is damaged.

        Pydantic's parser takes two fifths of the time of Python's, which is asked for its message, and since it accepts
        half a surrogate pair, as of a path that is no UTF-8.
        """
        content = self.read(name)
        try:
            return from_json(content)
        except ValueError:
            return json.loads(content)

    def names(self) -> list[str]:
        """Returns the sorted names of the files and folders in this folder; empty if there is no such folder.

        A local folder that another process makes while Arrow looks for it is an error of Arrow's, so it is looked for
        again.
        """
        system, folder = self._resolve()
        for left in reversed(range(LISTINGS)):
            try:
                found = system.get_file_info(fs.FileSelector(folder, allow_not_found=True))
                break
            except FileNotFoundError:
                if not left:
                    raise
        return sorted(info.base_name for info in found if not info.base_name.endswith(".partial"))

    def exists(self, name: str = "") -> bool:
        """Returns whether this folder exists, or the file or folder `name` in it."""
        system, folder = self._resolve()
        info = system.get_file_info(f"{folder}/{name}" if name else folder)
        return bool(info.type != fs.FileType.NotFound)

    def modified(self, name: str) -> datetime | None:
        """Returns when a file was last written, in UTC; None if there is no such file or the storage does not say."""
        system, folder = self._resolve()
        moment: datetime | None = system.get_file_info(f"{folder}/{name}").mtime
        return None if moment is None else moment.astimezone(UTC)

    def stamps(self, places: Sequence[str]) -> list[tuple[int, int]]:
        """Returns of each place below this folder when it was last written, in ns, and its bytes; (0, 0) if it is none.

        Whoever read a file knows by its stamp whether it is still as it was.

        Args:
            places: files and local folders, by their paths from here, with `/`.
        """
        system, folder = self._resolve()
        if isinstance(system, fs.LocalFileSystem):
            return [_stamp(f"{folder}/{place}") for place in places]
        found = system.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
        known = {one.path: (one.mtime_ns or 0, one.size or 0) for one in found if one.type == fs.FileType.File}
        return [known.get(f"{folder}/{place}", (0, 0)) for place in places]

    def size(self, name: str = "") -> int:
        """Returns the bytes of a file or folder in this folder, or of all files in it; 0 where there is none."""
        system, folder = self._resolve()
        info = system.get_file_info(f"{folder}/{name}" if name else folder)
        if info.type == fs.FileType.Directory:
            found = system.get_file_info(fs.FileSelector(info.path, recursive=True, allow_not_found=True))
            return sum(one.size or 0 for one in found if one.type == fs.FileType.File)
        return int(info.size or 0) if info.type == fs.FileType.File else 0

    def delete(self, name: str) -> None:
        """Deletes one file, if it exists."""
        system, folder = self._resolve()
        with suppress(FileNotFoundError):
            system.delete_file(f"{folder}/{name}")

    def remove(self) -> None:
        """Deletes the folder and everything in it, if it exists."""
        if self.exists():
            system, folder = self._resolve()
            system.delete_dir(folder)

    def _path(self) -> str | None:
        """Returns the absolute path of a local folder: a string, since a large run has 100,000 of them to read."""
        if "://" in self.uri and not self.uri.startswith("file://"):
            return None
        return os.path.join(os.getcwd(), self.uri.removeprefix("file://"), *self.parts).rstrip("/") or "/"

    def _resolve(self) -> tuple[fs.FileSystem, str]:
        path = self._path()
        if path is not None:
            return _LOCAL, path
        system, root = _remote(self.uri)
        return system, "/".join([root, *self.parts])


def for_each(folder: Folder, task: Callable[[Item], Made], items: Sequence[Item]) -> list[Made]:
    """Does a task that reads or writes below a folder for each item, and returns what each made, in the items' order.

    Where the storage is remote, tasks wait for the network side by side; locally, threads would only be in each
    other's way. An exception of a task ends it.

    Args:
        folder: tells whether the storage is remote.
        task: safe to be run in several threads.
        items: what it is done for.
    """
    if folder.local is not None:
        return [task(item) for item in items]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(task, items))


def _stamp(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=16)  # opening asks the store where its bucket lies, which would be done again for each file
def _remote(uri: str) -> tuple[fs.FileSystem, str]:
    try:
        system, root = fs.FileSystem.from_uri(uri)
    except (ValueError, OSError) as error:
        raise InvalidInput(f"{uri}: cannot be opened as storage ({error})") from error
    return system, str(root)


def _write(system: fs.FileSystem, path: str, content: bytes) -> None:
    with system.open_output_stream(path) as stream:
        stream.write(content)


def _sync(path: str | Path) -> None:
    """Waits until a local file's content, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
