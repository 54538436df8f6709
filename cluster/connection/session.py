"""A Ray session: a private local one, or a cluster that is there already."""

import logging
import os
import secrets
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.connection.authentication import is_open, uses_tls
from cluster.connection.runtime_env import runtime_env
from cluster.connection.session_folder import session_folder
from trainables.errors import InvalidInput

CONNECT_SECONDS = 5.0
IN_A_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # Ray sets it for the driver of a job
_ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # Temper writes its own curves, into the run directory
    "TUNE_MAX_PENDING_TRIALS_PG": "100000",  # the searcher proposes no more than there is room for
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C reaches the command, which says what is kept
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # a study's own modules and relative paths are of the working directory
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # with it, Tune prints its own tables however quiet it is told to be
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # no traceback of a trial that is tried again; the record says why one failed
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def prepare_environment(address: str | None) -> None:
    """Set what Ray reads when it is imported; call it before anything imports Ray.

    A local session gets a token of its own, which never leaves this process and its children. For a cluster the user's
    RAY_AUTH_MODE and token are left alone where they are set.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if address is None:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


@dataclass(frozen=True)
class Target:
    """Where to run.

    Attributes:
        address: of a cluster (`auto`, `host:port`, `ray://host:port`); None: this machine alone.
        allow_unauthenticated: join a cluster that anybody may join, and so run code on.
    """

    address: str | None = None
    allow_unauthenticated: bool = False


@contextmanager
def session(
    target: Target, *, cpus: int | None = None, beside: Mapping[str, Path | bytes] | None = None
) -> Iterator[None]:
    """Start or join Ray, and leave it as it was.

    Args:
        target: a cluster to join; without an address one is started in a folder of its own, and ended with the context.
        cpus: logical CPUs of the local one; None: this machine's.
        beside: files or folders that workers of a cluster are given beside Temper's own code.

    Raises:
        InvalidInput: no cluster answers at the address, or one that asks nobody for a token.
    """
    import ray

    address = target.address
    if address is not None:
        _knock(address)
        if not target.allow_unauthenticated and is_open(address):
            raise InvalidInput(
                f"--address {address}: the cluster asks for no token, so whoever reaches it can run code there; start "
                "its nodes with RAY_AUTH_MODE=token, or join it with --allow-unauthenticated"
            )
        try:
            with _code(beside) as environment:
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, runtime_env=environment)
        except ray.exceptions.AuthenticationError as error:
            raise InvalidInput(
                f"--address {address}: no token for the cluster (RAY_AUTH_MODE is token); set RAY_AUTH_TOKEN or "
                "RAY_AUTH_TOKEN_PATH, or RAY_AUTH_MODE=disabled for a cluster that asks for none"
            ) from error
        except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InvalidInput(f"--address {address}: no Ray cluster answers there ({reason})") from error
        try:
            yield
        finally:
            ray.shutdown()
        return
    with session_folder() as folder:
        try:
            ray.init(
                address="local",
                num_cpus=cpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _temp_dir=str(folder),
            )
            yield
        finally:
            ray.shutdown()


@contextmanager
def _code(beside: Mapping[str, Path | bytes] | None) -> Iterator[dict[str, Any] | None]:
    """What workers import: the code that runs here. A job's workers are given the job's by Ray."""
    if IN_A_JOB in os.environ:
        yield None
        return
    with runtime_env(beside) as environment:
        yield environment


def _knock(address: str) -> None:
    """Refuse within seconds an address where nothing listens; Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return  # auto, or something that Ray refuses at once
    try:
        with socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS) as answering:
            agreed = uses_tls() or not _speaks_tls(answering)
    except (OSError, OverflowError) as error:
        raise InvalidInput(f"--address {address}: no Ray cluster answers there ({error})") from None
    if not agreed:
        raise InvalidInput(
            f"--address {address}: the cluster speaks TLS; set RAY_USE_TLS=1, RAY_TLS_SERVER_CERT, RAY_TLS_SERVER_KEY "
            "and RAY_TLS_CA_CERT (cluster/README.md says how)"
        )


def _speaks_tls(connection: socket.socket) -> bool:
    """Whether what answers shakes hands by TLS; what it is called, and by whom, is Ray's to check."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        context.wrap_socket(connection).close()
    except OSError:  # ssl.SSLError is one, as are a closed connection and a timeout
        return False
    return True
