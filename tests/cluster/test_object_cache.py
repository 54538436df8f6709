"""What lies on the shelf is made again where it was lost."""

from typing import Any

import pytest
import ray

from cluster.object_cache import Shelf


class Lost:
    """Stands in for the keeper: of a process that has started again, and so knows nothing."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.put, self.get = _Method(self.kept.__setitem__), _Method(lambda name: [self.kept[name]])


class _Method:
    def __init__(self, function: Any) -> None:
        self.remote = function


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setattr(ray, "get", lambda what: what)
    made = Shelf.__new__(Shelf)
    made._keeper = Lost()
    return made


def test_what_was_put_is_taken(shelf: Shelf) -> None:
    shelf.put("one", 1)
    assert shelf.take("one", lambda: pytest.fail("it is there")) == 1


def test_what_was_lost_is_made_once_and_put_back(shelf: Shelf) -> None:
    assert shelf.take("one", lambda: 2) == 2
    assert shelf.take("one", lambda: pytest.fail("it is there")) == 2
