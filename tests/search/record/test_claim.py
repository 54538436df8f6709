"""Of several processes that claim one folder, exactly one is told that it is its, on every kind of storage."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from search.record.claim import claim, claim_by_number, claims
from trainables.storage import Folder

Claim = Callable[[Folder], bool]


def by_creation(folder: Folder) -> bool:
    return claim(folder, b"{}")


def by_number(folder: Folder) -> bool:
    return claim_by_number(folder, b"{}", settle=0.1)


@pytest.mark.parametrize("way", [by_creation, by_number])
def test_of_many_that_claim_at_once_one_wins_and_later_ones_lose(way: Claim, tmp_path: Path) -> None:
    for round_ in range(5):
        folder, won, start = Folder(str(tmp_path)).child(str(round_)), list[bool](), threading.Barrier(8)

        def compete(folder: Folder = folder, won: list[bool] = won, start: threading.Barrier = start) -> None:
            start.wait()
            won.append(way(folder))

        threads = [threading.Thread(target=compete) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(won) == [False] * 7 + [True]
        assert len(claims(folder)) == 1
        assert not way(folder)


def test_a_claim_that_was_written_too_slowly_is_made_anew_with_a_higher_number(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    folder.write("claim-000001-0123456789abcdef0123456789abcdef.json", b"{}")
    times = iter([0.0, 5.0, 5.0, 5.1])  # begun and written, twice
    seen: list[list[str]] = []
    assert not claim_by_number(
        folder, b"{}", settle=2.0, clock=lambda: next(times), sleep=lambda _: seen.append(claims(folder))
    )
    (during,) = seen
    assert [name[:12] for name in during] == ["claim-000001", "claim-000002"]
    assert [name[:12] for name in claims(folder)] == ["claim-000001"]  # the one that lost is gone


class Stalling(Folder):
    """A folder whose first write comes after another driver has claimed it, since this one stalls before it."""

    def write(self, name: str, content: bytes, *, lasting: bool = False) -> None:
        plain = Folder(self.uri)
        if not claims(plain):
            assert claim_by_number(plain, b"other", settle=2.0, clock=lambda: 0.0, sleep=lambda _: None)
        plain.write(name, content)


def test_a_driver_that_stalls_between_its_listing_and_its_claim_never_wins_beside_another(tmp_path: Path) -> None:
    folder, times = Stalling(str(tmp_path)), iter([0.0, 60.0, 60.0, 60.1])
    assert not claim_by_number(folder, b"stalled", settle=2.0, clock=lambda: next(times), sleep=lambda _: None)
    assert folder.read(claims(folder)[0]) == b"other"
