"""What is kept in Ray's object store can be taken by any process, and is made again where it was lost."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray

from cluster.connection.session import Target, session
from cluster.object_cache import ObjectCache


@pytest.fixture(scope="module")
def cache() -> Iterator[ObjectCache]:
    with session(Target(), cpus=1):
        yield ObjectCache()


def recovering(content: Any) -> tuple[Callable[[], Any], list[Any]]:
    """A function that makes the content again, and a list that grows by what it made with each call."""
    made: list[Any] = []

    def recover() -> Any:
        made.append(content)
        return content

    return recover, made


def until_lost(cache: ObjectCache, recipe_id: str) -> None:
    """Waits until the actor behind the cache has started again, without what it held."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        try:
            ray.get(cache._keeper.get.remote(recipe_id))
        except KeyError:
            return
        time.sleep(0.05)
    pytest.fail("the actor was not lost within a minute")


def test_what_was_put_is_taken_and_not_made_again(cache: ObjectCache) -> None:
    recover, made = recovering("another")
    cache.put("one", {"weights": np.arange(5)})
    cache.put("two", 2)
    assert cache.take("one", recover)["weights"].tolist() == [0, 1, 2, 3, 4]
    assert cache.take("two", recover) == 2
    assert made == []


class Noted:
    """An object that notes in a file which processes unpickle it."""

    def __init__(self, notes: Path) -> None:
        self.notes = notes

    def __reduce__(self) -> tuple[Any, ...]:
        return note, (self.notes,)


def note(notes: Path) -> Noted:
    with notes.open("a") as file:
        file.write(f"{os.getpid()}\n")
    return Noted(notes)


def test_the_keeper_does_not_unpickle_what_it_keeps(cache: ObjectCache, tmp_path: Path) -> None:
    cache.put("noted", Noted(tmp_path / "notes"))
    recover, made = recovering("another")
    assert isinstance(cache.take("noted", recover), Noted)
    assert (tmp_path / "notes").read_text().split() == [str(os.getpid())]
    assert made == []


def test_arrays_are_shared_and_not_copied(cache: ObjectCache) -> None:
    cache.put("arrays", [np.arange(100_000), np.zeros((0, 3), np.float32), np.ones((2, 3), order="F")])
    recover, _ = recovering("another")
    many, none, columns = cache.take("arrays", recover)
    assert many.tolist() == list(range(100_000))
    assert not many.flags.owndata
    assert not many.flags.writeable  # by Ray, for it is the object store's memory
    assert none.shape == (0, 3)
    assert columns.tolist() == [[1.0] * 3] * 2


def test_workers_of_a_local_session_run_at_its_own_niceness(cache: ObjectCache) -> None:
    assert ray.get(ray.remote(lambda: os.nice(0)).remote()) == os.nice(0)


def test_what_was_never_put_is_made_once_and_kept(cache: ObjectCache) -> None:
    recover, made = recovering("content")
    assert [cache.take("three", recover) for _ in range(3)] == ["content"] * 3
    assert made == ["content"]


def test_what_another_process_put_outlives_it(cache: ObjectCache) -> None:
    def put(given: ObjectCache) -> None:
        given.put("four", [4])

    ray.get(ray.remote(max_calls=1)(put).remote(cache))  # its process ends with the call
    recover, made = recovering("another")
    assert cache.take("four", recover) == [4]
    assert made == []


def test_what_a_lost_keeper_held_is_made_again_once(cache: ObjectCache) -> None:
    cache.put("five", "of before")
    ray.kill(cache._keeper, no_restart=False)
    until_lost(cache, "five")  # Ray answers before the actor has ended
    recover, made = recovering("made again")
    assert [cache.take("five", recover) for _ in range(2)] == ["made again"] * 2
    assert made == ["made again"]
