"""Which of Ray's variables a local session heeds."""

import os

import pytest

from cluster.connection.session import prepare_environment

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
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_worker_niceness"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # restored afterwards
    for name, value in OTHERS.items():
        monkeypatch.setenv(name, value)
    prepare_environment("other:6379")
    assert {name: os.environ[name] for name in OTHERS} == OTHERS
    prepare_environment(None)
    assert not OTHERS.keys() & os.environ.keys()
