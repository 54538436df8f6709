"""Which of Ray's variables a local session heeds, and what becomes of one that does not start."""

import os
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from cluster.connection import reachable
from cluster.connection import session as module
from cluster.connection.jobs import Jobs
from cluster.connection.runtime_env import runtime_env
from cluster.connection.session import Target, prepare_environment, require_free_ray, session
from trainables.errors import InvalidInput, MachineFault

NICENESS = "RAY_worker_niceness"
OTHERS = {
    "RAY_ADDRESS": "ray://other:10001",
    "RAY_NAMESPACE": "other",
    "RAY_RUNTIME_ENV": "{}",
    "RAY_TMPDIR": "/nowhere",
    "RAY_USE_TLS": "1",
    "RAY_AUTH_TOKEN_PATH": "/nowhere/token",
    "RAY_JOB_CONFIG_JSON_ENV_VAR": "{}",
}


def test_a_local_session_heeds_no_variable_of_another_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", NICENESS):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # restored afterwards
    for name, value in OTHERS.items():
        monkeypatch.setenv(name, value)
    prepare_environment("other:6379")
    assert {name: os.environ[name] for name in OTHERS} == OTHERS
    prepare_environment(None)
    assert not OTHERS.keys() & os.environ.keys()
    assert os.environ.get(NICENESS) == "0"  # Ray adds it to the niceness of the process that starts it


def test_trials_are_not_bound_to_the_first_cpu_of_their_node(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", NICENESS):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # restored afterwards
    for address in (None, "other:6379"):
        monkeypatch.setenv("OMP_PROC_BIND", "close")
        prepare_environment(address)
        assert os.environ["OMP_PROC_BIND"] == "false"
    with runtime_env() as sent:
        assert sent["env_vars"]["OMP_PROC_BIND"] == "false"


def test_a_local_session_has_the_cpus_that_it_may_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []
    monkeypatch.setattr(ray, "init", lambda **options: asked.append(options["num_cpus"]))
    monkeypatch.setattr(module, "usable_cpus", lambda: 3)
    for cpus in (None, 2):
        module._start(tmp_path, cpus)
    assert asked == [3, 2]


def test_a_notebook_that_uses_ray_already_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    used = SimpleNamespace(is_initialized=lambda: True)
    monkeypatch.setattr("cluster.connection.session._private_token", False)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setitem(sys.modules, "ray", used)
    with pytest.raises(InvalidInput, match=r"call ray\.shutdown\(\) first"):
        require_free_ray(None)
    used.is_initialized = lambda: False  # it was imported
    with pytest.raises(InvalidInput, match="before anything imports Ray"):
        require_free_ray(None)
    require_free_ray("other:6379")
    monkeypatch.setattr("cluster.connection.session._private_token", True)
    with pytest.raises(InvalidInput, match="other:6379: a search of this machine alone ran in this process"):
        require_free_ray("other:6379")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")  # as after an earlier search of this process
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    require_free_ray(None)


def test_an_open_cluster_that_may_be_joined_is_joined_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "")  # restored afterwards
    for is_open, allowed, mode in ((True, True, "disabled"), (True, False, "token"), (False, True, "token")):
        monkeypatch.delenv("RAY_AUTH_MODE")
        monkeypatch.setattr("cluster.connection.session.is_open", lambda address, answer=is_open: answer)
        prepare_environment("other:6379", allow_unauthenticated=allowed)
        assert os.environ["RAY_AUTH_MODE"] == mode
    monkeypatch.setattr("cluster.connection.session.is_open", lambda address: True)
    prepare_environment("other:6379", allow_unauthenticated=True)
    assert os.environ["RAY_AUTH_MODE"] == "token"  # what is set stays


def test_a_search_is_not_sent_through_ray_client() -> None:
    with (
        pytest.raises(
            InvalidInput, match=r"ray://127.0.0.1:1: a search cannot run through Ray Client; .*temper submit"
        ),
        session(Target("ray://127.0.0.1:1")),
    ):
        pass
    looking = session(Target("ray://127.0.0.1:1"), searches=False)  # for which it would do
    with pytest.raises(InvalidInput, match="no Ray cluster answers there"), looking:
        pass


@pytest.mark.parametrize(("failures", "starts"), [(0, 1), (1, 2), (2, None)])
def test_a_local_session_that_took_too_long_is_started_once_more(
    failures: int, starts: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    def init(**settings: Any) -> None:
        begun.append(settings["_temp_dir"])
        if len(begun) <= failures:
            raise Exception("The current node timed out during startup. This could happen because …")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    if starts is None:
        with pytest.raises(MachineFault, match=r"could not be started on this machine \(The current node timed out"):
            session(Target()).__enter__()
        assert len(begun) == 2
    else:
        with session(Target()):
            assert len(begun) == starts
    assert not Path(begun[0]).exists()


def test_a_local_session_that_cannot_be_started_ends_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    def init(**settings: Any) -> None:
        begun.append(1)
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with pytest.raises(MachineFault, match="Too many open files"):
        session(Target()).__enter__()
    assert begun == [1]


def test_python_without_docstrings_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sys, "flags", SimpleNamespace(optimize=2))
        with pytest.raises(InvalidInput, match=r"PYTHONOPTIMIZE: got 2, or python -OO"):
            prepare_environment("other:6379")


def test_a_head_that_listens_on_ipv6_is_knocked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reachable, "uses_tls", lambda: True)  # so that nobody waits for an answer
    try:
        listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listening:
        reachable._knock(f"ray://[::1]:{listening.getsockname()[1]}")


def test_an_error_without_words_is_named_by_its_type(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionError

    monkeypatch.setattr("ray.job_submission.JobSubmissionClient", fail)
    with pytest.raises(InvalidInput, match=r"no job server answers there \(ConnectionError\)"):
        Jobs("http://head:8265")
    monkeypatch.setattr(reachable, "_knock", lambda address: None)
    monkeypatch.setattr(reachable, "is_open", lambda address: False)
    monkeypatch.setattr("ray.init", fail)
    target = Target("10.0.0.1:6379")
    with pytest.raises(InvalidInput, match=r"no Ray cluster answers there \(ConnectionError\)"), session(target):
        pass
