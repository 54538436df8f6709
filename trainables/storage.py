"""Reads and writes folders on local disk, NFS or object storage; all access to a run directory goes through here."""

import json
import os
import shlex
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pyarrow import fs
from pydantic_core import from_json

from trainables.errors import InvalidInput
from trainables.local_files import (
    PATIENCE,
    attended,
    check_standing,
    create_file,
    make_folder,
    stamp,
    write_file,
    write_stream,
)

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
        standing: how many of `parts` lead to the folder that must stand already, see `kept`; None: none must.
        patience: seconds for which that folder is waited for.
    """

    uri: str
    parts: tuple[str, ...] = ()
    standing: int | None = field(default=None, compare=False)
    patience: float = field(default=PATIENCE, compare=False)

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
        return replace(self, parts=(*self.parts, *parts))

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
        return self if self.local is None else replace(self, uri=str(Folder(self.uri).local))

    def kept(self, patience: float = PATIENCE) -> "Folder":
        """Returns the same folder, which no write into it or below it makes anew where it is gone.

        A local folder that is gone, as while a network's file system is away, is waited for; after `patience` seconds
        each `write`, `read`, `names` and `make` raises OSError in words. Remote storage that is away fails by itself.
        """
        return replace(self, standing=len(self.parts), patience=patience)

    def make(self) -> None:
        """Makes the local folder; on remote storage a folder is there once something is in it. Raises OSError."""
        path, standing = self._path(), self._standing()
        if path is not None:

            def task() -> None:
                check_standing(standing)
                make_folder(path, standing)

            attended(task, self.patience)

    def write(self, name: str, content: bytes, *, lasting: bool = False) -> None:
        """Writes one file so that a reader sees all of it or nothing of it.

        A local file is written under another name and then renamed; an object store shows a file once it is closed.

        Args:
            name: the file's name.
            content: its content.
            lasting: whether it is still whole after a loss of power: a local file and its folders are then on the disk
                before this returns, which takes 8 ms on a solid-state disk where it would take 0.1 ms (ext4).

        Raises:
            OSError: the storage is full, or cannot be written, or is away; no part of the file is left then.
        """
        path, standing = self._path(), self._standing()
        if path is not None:
            attended(lambda: write_file(path, name, content, lasting=lasting, standing=standing), self.patience)
            return
        system, folder = self._resolve()
        system.create_dir(folder, recursive=True)
        write_stream(system, f"{folder}/{name}", content)

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
        return create_file(local, name, content)

    def read(self, name: str) -> bytes:
        """Returns the content of one file. Raises FileNotFoundError."""
        system, folder = self._resolve()
        standing = self._standing()

        def task() -> bytes:
            try:
                with system.open_input_stream(f"{folder}/{name}") as stream:
                    return bytes(stream.read())
            except FileNotFoundError:
                check_standing(standing)
                raise

        return attended(task, self.patience)

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
        standing = self._standing()

        def task() -> list[str]:
            found = self._listed()
            if not found:
                check_standing(standing)
            return sorted(info.base_name for info in found if not info.base_name.endswith(".partial"))

        return attended(task, self.patience)

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
            return [stamp(f"{folder}/{place}") for place in places]
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

    def _standing(self) -> str | None:
        """Returns the path of the local folder that must stand; None where none must, or the storage is remote."""
        return None if self.standing is None else Folder(self.uri, self.parts[: self.standing])._path()

    def _listed(self) -> list[fs.FileInfo]:
        system, folder = self._resolve()
        for _ in range(LISTINGS - 1):
            with suppress(FileNotFoundError):
                return list(system.get_file_info(fs.FileSelector(folder, allow_not_found=True)))
        return list(system.get_file_info(fs.FileSelector(folder, allow_not_found=True)))

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


@lru_cache(maxsize=16)  # opening asks the store where its bucket lies, which would be done again for each file
def _remote(uri: str) -> tuple[fs.FileSystem, str]:
    try:
        system, root = fs.FileSystem.from_uri(uri)
    except (ValueError, OSError) as error:
        raise InvalidInput(f"{uri}: cannot be opened as storage ({error})") from error
    return system, str(root)
