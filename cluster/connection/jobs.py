"""Submits searches to a cluster as Ray jobs, from a machine that is not part of the cluster."""

import asyncio
import json
import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cluster.connection.runtime_env import runtime_env
from trainables.errors import InvalidInput, MachineFault, TemperError, first_line

ASK_SECONDS = 1.0
LOST_SECONDS = 300.0  # for so long a job server that answers no more is asked again, as where a laptop sleeps or roams
NO_SUCH_JOB = "status code 404"  # in the errors of Ray's client, which have no field for it
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


class Jobs:
    """A client of one cluster's job server, which submits commands and follows them to their end."""

    def __init__(self, address: str) -> None:
        """Connects to the cluster's job server.

        Args:
            address: address of the head's dashboard, `http://host:8265`; the token is taken from RAY_AUTH_TOKEN or
                RAY_AUTH_TOKEN_PATH.

        Raises:
            InvalidInput: no job server answers there, or it wants another token.
        """
        import ray
        from ray.job_submission import JobSubmissionClient

        if not address.startswith(("http://", "https://")):
            raise InvalidInput(f"--address {address}: expected the dashboard of a cluster, http://host:8265")
        _reach_this_machine_directly(address)
        try:
            self._client = JobSubmissionClient(address)
        except ray.exceptions.AuthenticationError:
            raise InvalidInput(
                f"--address {address}: no token, or not the cluster's; set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, "
                "or RAY_AUTH_MODE=disabled for a cluster that asks for none"
            ) from None
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise InvalidInput(f"--address {address}: no job server answers there ({first_line(error)})") from None
        self._address = address

    def submit(
        self, name: str, command: Sequence[str], beside: Mapping[str, Path | bytes], metadata: Mapping[str, str]
    ) -> None:
        """Starts a command on the head, in a folder that holds Temper's packages and further files.

        Args:
            name: name of the new job.
            command: the command and its arguments.
            beside: further files or folders by name, as for `runtime_env`.
            metadata: texts to store with the job; `metadata` returns them.

        Raises:
            InvalidInput: the job server does not accept the job, for example because there is a job of that name.
        """
        if name in self.series(name):
            raise InvalidInput(
                f"{name}: there is a job of that name at {self._address}; --or-resume goes on with its run"
            )
        with runtime_env(beside) as environment:
            try:
                self._client.submit_job(
                    entrypoint=shlex.join(command),
                    submission_id=name,
                    runtime_env=environment,
                    metadata=dict(metadata),
                )
            except (RuntimeError, ValueError) as error:
                raise InvalidInput(f"{name}: not accepted by {self._address} ({_last_line(error)})") from None

    def series(self, name: str) -> list[str]:
        """Returns the jobs of a name, the first and those that `next_of` named after it, oldest first."""
        found: list[str] = []
        with suppress(InvalidInput):  # there is no further one
            while True:
                found.append(self._info(_of_series(name, len(found) + 1)).submission_id)
        return found

    def next_of(self, name: str) -> str:
        """Returns the name of the next job of a series: job servers take no name twice.

        Raises:
            InvalidInput: the last one has not ended.
        """
        before = self.series(name)
        for job in before[-1:]:
            if (state := self._info(job).status.value) not in ENDED:
                raise InvalidInput(f"{name}: its job {job} at {self._address} has not ended ({state.lower()})")
        return _of_series(name, len(before) + 1)

    def metadata(self, name: str) -> dict[str, str]:
        """Returns the metadata that a job was submitted with. Raises InvalidInput: there is no job of that name."""
        return dict(self._info(name).metadata or {})

    def follow(self, name: str, show: Callable[[str], None]) -> int:
        """Passes a job's output to `show` as it comes, until the job has ended.

        Where the connection is lost, the job itself goes on, and its end is waited for.

        Returns:
            The job's exit code; 1 where it has none, because it was stopped or never started.

        Raises:
            InvalidInput: there is no job of that name.
            MachineFault: the job server answers no more.
        """

        async def tail() -> None:
            async for text in self._client.tail_job_logs(name):
                show(text)

        try:
            asyncio.run(tail())
        except (OSError, RuntimeError) as error:  # the connection was lost
            show(f"{_last_line(error)}\n")
        return self.wait(name)

    def wait(self, name: str) -> int:
        """Waits until a job has ended, also where the connection is lost for a while; else as `follow`."""
        until = time.monotonic() + LOST_SECONDS
        while True:
            try:
                info, until = self._info(name), time.monotonic() + LOST_SECONDS
                if info.status.value in ENDED:
                    return 0 if info.status.value == "SUCCEEDED" else int(info.driver_exit_code or 1)
            except MachineFault:
                if time.monotonic() > until:
                    raise
            time.sleep(ASK_SECONDS)

    def output(self, name: str, command: Sequence[str]) -> str:
        """Runs a command on the head, as `submit` does, waits until it has ended, and returns all that it printed.

        Raises:
            TemperError: the command failed; the message holds the last line that it printed.
        """
        self.submit(name, command, {}, {})
        code, printed = self.wait(name), str(self._client.get_job_logs(name))
        if code:
            lines = [line for line in printed.splitlines() if line.strip()] or [self._info(name).message or "no output"]
            raise TemperError(f"{self._address}: {shlex.join(command)} ended with {code}: {lines[-1]}")
        return printed

    def _info(self, name: str) -> Any:
        """Returns what is known of a job. Raises InvalidInput: there is none. MachineFault: nobody answers."""
        try:
            return self._client.get_job_info(name)
        except (OSError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and NO_SUCH_JOB in str(error):
                raise InvalidInput(f"{name}: no such job at {self._address} ({_last_line(error)})") from None
            raise MachineFault(f"{self._address}: tells nothing of job {name} ({_last_line(error)})") from None


def _reach_this_machine_directly(address: str) -> None:
    """Takes a loopback address, at which a tunnel to the head ends, out of what the environment's proxy is for."""
    host = urlsplit(address).hostname or ""
    if host in ("localhost", "::1") or host.startswith("127."):
        without = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(filter(None, [without, host]))


def _of_series(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-resumed-{number}"


def _last_line(error: Exception) -> str:
    """Returns the last line of the job server's answer, which may be a whole traceback."""
    text = str(error)
    start = text.find("{")
    if start >= 0:
        with suppress(ValueError):
            text = str(json.loads(text[start:]).get("msg", text))
    lines = [line.strip() for line in text.splitlines() if any(letter.isalnum() for letter in line)]
    return lines[-1] if lines else type(error).__name__
