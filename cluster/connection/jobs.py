"""Searches as Ray Jobs: submitted to a cluster from a machine that is not part of it."""

import asyncio
import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from cluster.connection.runtime_env import runtime_env
from trainables.errors import InvalidInput, TemperError

ASK_SECONDS = 1.0
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


class Jobs:
    """The jobs of one cluster."""

    def __init__(self, address: str) -> None:
        """Reach the cluster's job server.

        Args:
            address: of the head's dashboard, `http://host:8265`; a token is taken from RAY_AUTH_TOKEN or
                RAY_AUTH_TOKEN_PATH.

        Raises:
            InvalidInput: no job server answers there, or it wants another token.
        """
        import ray
        from ray.job_submission import JobSubmissionClient

        if not address.startswith(("http://", "https://")):
            raise InvalidInput(f"--address {address}: expected the dashboard of a cluster, http://host:8265")
        try:
            self._client = JobSubmissionClient(address)
        except ray.exceptions.AuthenticationError:
            raise InvalidInput(
                f"--address {address}: no token, or not the cluster's; set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
            ) from None
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InvalidInput(f"--address {address}: no job server answers there ({reason})") from None
        self._address = address

    def submit(
        self, name: str, command: Sequence[str], beside: Mapping[str, Path | bytes], metadata: Mapping[str, str]
    ) -> None:
        """Start a command on the head, in a folder that holds this checkout and what is beside it.

        Raises:
            InvalidInput: there is a job of that name.
        """
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

    def metadata(self, name: str) -> dict[str, str]:
        """What was said of a job when it was submitted. Raises InvalidInput: there is none of that name."""
        return dict(self._info(name).metadata or {})

    def follow(self, name: str, show: Callable[[str], None]) -> int:
        """Pass a job's output on until it has ended.

        Returns:
            Its exit code; 1 where it has none, since it was stopped or never started.
        """

        async def tail() -> None:
            async for text in self._client.tail_job_logs(name):
                show(text)

        try:
            asyncio.run(tail())
        except RuntimeError as error:  # the link was cut: the job itself goes on
            show(f"{_last_line(error)}\n")
        return self.wait(name)

    def wait(self, name: str) -> int:
        """Wait until a job has ended; its exit code, as `follow`."""
        while (info := self._info(name)).status.value not in ENDED:
            time.sleep(ASK_SECONDS)
        if info.status.value == "SUCCEEDED":
            return 0
        return int(info.driver_exit_code or 1)

    def output(self, name: str, command: Sequence[str]) -> str:
        """Run a command on the head, as `submit` does, and wait for all that it prints.

        Raises:
            TemperError: it failed, with the last line that it printed.
        """
        self.submit(name, command, {}, {})
        code, printed = self.wait(name), str(self._client.get_job_logs(name))
        if code:
            lines = [line for line in printed.splitlines() if line.strip()] or [self._info(name).message or "no output"]
            raise TemperError(f"{self._address}: {shlex.join(command)} ended with {code}: {lines[-1]}")
        return printed

    def _info(self, name: str) -> Any:
        try:
            return self._client.get_job_info(name)
        except RuntimeError as error:
            raise InvalidInput(f"{name}: no such job at {self._address} ({_last_line(error)})") from None


def _last_line(error: Exception) -> str:
    """Of an answer of the job server, which may be a traceback."""
    text = str(error)
    start = text.find("{")
    if start >= 0:
        with suppress(ValueError):
            text = str(json.loads(text[start:]).get("msg", text))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
