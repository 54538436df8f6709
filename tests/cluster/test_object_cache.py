"""What lies on the cache is made again where it was lost."""

from typing import Any

import pytest
import ray

from cluster.object_cache import ObjectCache


class Lost:
    """Stands in for the keeper: of a process that has started again, and so knows nothing."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.put, self.get = _Method(self.kept.__setitem__), _Method(lambda name: [self.kept[name]])


class _Method:
    def __init__(self, function: Any) -> None:
        self.remote = function


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> ObjectCache:
    monkeypatch.setattr(ray, "get", lambda what: what)
    made = ObjectCache.__new__(ObjectCache)
    made._keeper = Lost()
    return made


def test_what_was_put_is_taken(cache: ObjectCache) -> None:
    cache.put("one", 1)
    assert cache.take("one", lambda: pytest.fail("it is there")) == 1


def test_what_was_lost_is_made_once_and_put_back(cache: ObjectCache) -> None:
    assert cache.take("one", lambda: 2) == 2
    assert cache.take("one", lambda: pytest.fail("it is there")) == 2
