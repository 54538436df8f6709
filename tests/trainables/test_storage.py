"""A folder is listed whatever other processes do to it meanwhile."""

import threading
from pathlib import Path

from trainables.storage import Folder


def test_a_folder_that_another_makes_and_removes_meanwhile_is_listed(tmp_path: Path) -> None:
    folder, ended = tmp_path / "now and then", threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            folder.mkdir()
            folder.rmdir()

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        for _ in range(10_000):  # one in 65 failed where it was looked for once
            assert Folder(str(folder)).names() == []
    finally:
        ended.set()
        other.join()
