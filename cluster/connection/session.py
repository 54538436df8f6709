"""Starts a private Ray session on this machine, or joins a cluster that is there already."""

import logging
import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.connection.authentication import is_open
from cluster.connection.interrupts import INTERRUPTS, end, started_with
from cluster.connection.ray_watch import watched
from cluster.connection.reachable import require_cluster
from cluster.connection.runtime_env import UNBOUND, runtime_env, shielded
from cluster.connection.session_folder import session_folder
from trainables.cpu_limit import usable_cpus
from trainables.errors import InvalidInput, MachineFault, first_line
from trainables.memory_limit import memory_limit

STARTS = 2  # times that a local session is started, if Ray gives it up after its 30 s
_TIMED_OUT = "timed out"
OBJECT_STORE_SHARE = 0.3  # of the memory, as Ray's own default
IN_A_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # set by Ray where this process is the driver of a job
_ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # Temper writes its own curves, into the run directory
    "TUNE_MAX_PENDING_TRIALS_PG": "100000",  # no limit of Tune's is needed: the searcher itself proposes only what fits
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # so that Ctrl-C reaches the command, which says what is kept
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # the user's modules and the study's relative paths start at the working directory
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # with 1, Tune prints its own tables however quiet it is told to be
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # else Tune prints tracebacks of retried trials; the record holds the reasons
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
# Variables that lead a local session to another cluster, or give it that cluster's settings.
_OF_ANOTHER_CLUSTER = (
    "RAY_ADDRESS",
    "RAY_API_SERVER_ADDRESS",
    "RAY_AUTH_TOKEN_PATH",
    "RAY_GCS_SERVER_PORT",
    "RAY_NAMESPACE",
    "RAY_OVERRIDE_JOB_RUNTIME_ENV",
    "RAY_OVERRIDE_LABELS",
    "RAY_OVERRIDE_RESOURCES",
    "RAY_REDIS_ADDRESS",
    "RAY_RUNTIME_ENV",
    "RAY_TMPDIR",
    "RAY_USE_TLS",
    "RAY_object_spilling_config",
    IN_A_JOB,
)


_private_token = False  # whether this process made up the token of a local session, which Ray keeps


def prepare_environment(address: str | None, *, allow_unauthenticated: bool = False) -> None:
    """Sets the environment variables that Ray reads when it is imported; call it before anything imports Ray.

    A local session heeds no variable that belongs to another cluster. It gets a token of its own, which only this
    process and its children know, and its workers run at this process's niceness: at Ray's default of 15 more, two
    other busy processes slow a search down by seven to twelve times.
    For a cluster, the user's RAY_AUTH_MODE and token are left as they are where they are set.

    Args:
        address: address of the cluster to join; None: a local session is started.
        allow_unauthenticated: whether a cluster that asks for no token may be joined. If this one does, and
            RAY_AUTH_MODE is not set, that is set to what such a cluster takes.

    Raises:
        InvalidInput: Python runs without docstrings, which Ray reads when it is imported.
    """
    if sys.flags.optimize > 1:
        raise InvalidInput("PYTHONOPTIMIZE: got 2, or python -OO, under which Ray cannot be imported; expected 0 or 1")
    global _private_token
    if allow_unauthenticated and address not in (None, "auto") and "RAY_AUTH_MODE" not in os.environ:
        with suppress(InvalidInput):  # that nothing answers there is said when it is joined
            if is_open(str(address)):
                os.environ["RAY_AUTH_MODE"] = "disabled"
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ.update(UNBOUND)
    if address is None:
        for name in _OF_ANOTHER_CLUSTER:
            os.environ.pop(name, None)
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_worker_niceness", "0")  # Ray adds it to this process's own
        _private_token = _private_token or "RAY_AUTH_TOKEN" not in os.environ
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def require_free_ray(address: str | None) -> None:
    """Refuse to start where this process uses Ray already, as a notebook may; call it before `prepare_environment`.

    Args:
        address: as for `prepare_environment`.

    Raises:
        InvalidInput: this process has joined a cluster, or has imported Ray, which read then whether it needs a token,
            or which token.
    """
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        raise InvalidInput("Ray runs in this process already; call ray.shutdown() first, and give a cluster's address")
    if ray is not None and address is not None and _private_token:
        raise InvalidInput(
            f"--address {address}: a search of this machine alone ran in this process, and Ray keeps its token; "
            "start a new process for a cluster"
        )
    told = os.environ.get("RAY_AUTH_MODE") == "token" and "RAY_AUTH_TOKEN" in os.environ
    if ray is not None and address is None and not told:
        raise InvalidInput(
            "Ray was imported before its private session got a token; run the search before anything imports Ray, or "
            "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN before that"
        )


@dataclass(frozen=True)
class Target:
    """Where a search runs: on this machine alone, or on a cluster.

    Attributes:
        address: address of a cluster (`auto`, `host:port`); None: this machine alone. Ray Client's `ray://host:port`
            is for looking at a cluster alone.
        allow_unauthenticated: join even a cluster that asks for no token, on which anybody can run code.
    """

    address: str | None = None
    allow_unauthenticated: bool = False


@contextmanager
def session(
    target: Target,
    *,
    cpus: int | None = None,
    beside: Mapping[str, Path | bytes] | None = None,
    searches: bool = True,
) -> Iterator[None]:
    """Connects to Ray for as long as the context lasts.

    Args:
        target: the cluster to join; where it has no address, a local session is started in a temporary folder of its
            own, and ends with the context.
        cpus: logical CPUs of the local session; None: as many as this process may use.
        beside: files or folders that a cluster's workers are given beside Temper's own code.
        searches: whether Ray Tune is run, which it cannot be by Ray Client.

    Raises:
        InvalidInput: no cluster answers at the address, or the one that does asks for no token.
        MachineFault: a local session could not be started.
    """
    import ray

    address = target.address
    if address is not None:
        require_cluster(address, allow_unauthenticated=target.allow_unauthenticated, searches=searches)
        try:
            with _code(beside) as environment, INTERRUPTS.exits():
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, runtime_env=environment)
        except ray.exceptions.AuthenticationError as error:
            raise InvalidInput(
                f"--address {address}: no token for the cluster (RAY_AUTH_MODE is token); set RAY_AUTH_TOKEN or "
                "RAY_AUTH_TOKEN_PATH, or RAY_AUTH_MODE=disabled for a cluster that asks for none"
            ) from error
        except ray.exceptions.RuntimeEnvSetupError as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
            raise InvalidInput(f"--address {address}: the code cannot be sent there ({reason})") from error
        except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            raise InvalidInput(f"--address {address}: no Ray cluster answers there ({first_line(error)})") from error
        try:
            yield
        finally:
            ray.shutdown()
        return
    with session_folder() as folder:
        try:
            _start(folder, cpus)
            with watched(INTERRUPTS.abandon):
                yield
        finally:
            started = started_with(str(folder))
            ray.shutdown()
            end(started)  # what an interrupted start left, and workers that would see only later that Ray is gone


def _start(folder: Path, cpus: int | None) -> None:
    """Starts Ray on this machine; once more where it took too long, as on a machine with much other work.

    Raises:
        MachineFault: it could not be started.
    """
    import ray

    environment = shielded(folder)
    for left in reversed(range(STARTS)):
        try:
            with INTERRUPTS.exits():
                ray.init(
                    address="local",
                    num_cpus=cpus or usable_cpus(),
                    object_store_memory=_object_store(),
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    _temp_dir=str(folder),
                    runtime_env=environment,
                )
            return
        except Exception as error:
            end(started_with(str(folder)))
            ray.shutdown()
            reason = first_line(error)
            if not left or _TIMED_OUT not in reason:
                raise MachineFault(
                    f"Ray could not be started on this machine ({reason.rstrip('.')}); has it memory, processes, open "
                    "files and time to spare? --debug shows the whole error"
                ) from error


def _object_store() -> int | None:
    """Returns the bytes that the object store may take; None where Ray's own choice is right.

    Ray chooses a share of the machine's or the container's memory, and overlooks a limit that Slurm or systemd has set,
    whose control group is not at the top.
    """
    from ray._common.utils import get_system_memory

    limit = memory_limit()
    return int(OBJECT_STORE_SHARE * limit) if limit < get_system_memory() else None


@contextmanager
def _code(beside: Mapping[str, Path | bytes] | None) -> Iterator[dict[str, Any] | None]:
    """Gives the runtime environment with the code that workers import; None inside a job, whose code Ray sends."""
    if IN_A_JOB in os.environ:
        yield None
        return
    with runtime_env(beside) as environment:
        yield environment
