"""Submits a study to a cluster as a Ray Job, follows its output, and fetches its report and frontier."""

import uuid
from collections.abc import Callable, Collection
from pathlib import Path, PurePosixPath

import yaml

from cluster.connection.jobs import Jobs
from search.remote import archive
from search.remote.user_modules import try_shipped_copy, user_modules
from search.study.study import Study
from trainables.config import YamlDumper
from trainables.errors import InvalidInput
from trainables.storage import Folder

STUDY = "study.yaml"
OR_RESUME = "--or-resume"


def submit(study: Study, *, address: str, storage: str, name: str, options: tuple[str, ...] = ()) -> None:
    """Start a search on a cluster.

    Args:
        study: the study, which is shipped as resolved, together with the user's modules that it names.
        address: address of the cluster's dashboard.
        storage: storage that the cluster's nodes share. A relative path is refused, since it would lie in a folder that
            is removed with the job.
        name: name of the run and of the job.
        options: further options of `temper search`. With --or-resume the run may have been begun by earlier jobs, which
            have ended.

    Raises:
        InvalidInput: there is no such cluster, the storage is relative or contains a password, weights or images of the
            study are not sent, or a job of that name exists, with --or-resume one that has not ended.
    """
    if "://" not in storage and not Path(storage).is_absolute():
        raise InvalidInput(f"--storage {storage}: expected a URI or an absolute path, which the cluster's nodes share")
    run = Folder(storage).child(name)
    content = yaml.dump(study.model_dump(mode="json"), Dumper=YamlDumper, sort_keys=False).encode()
    beside = user_modules(study)
    _check_paths(study, beside)
    try_shipped_copy(study, beside)
    command = ["python", "-m", "search", "search", STUDY, "--address", "auto", "--storage", storage, "--name", name]
    jobs = Jobs(address)
    jobs.submit(
        jobs.next_of(name) if OR_RESUME in options else name,
        [*command, *options],
        {STUDY: content, **beside},
        {"study": study.name, "run": str(run)},
    )


def follow(name: str, *, address: str, show: Callable[[str], None]) -> int:
    """Show the output of a submitted search until it has ended, and return its exit code."""
    jobs = Jobs(address)
    return jobs.follow(_newest(jobs, name), show)


def fetch(name: str, *, address: str, folder: Path) -> list[Path]:
    """Fetch report and frontier of a submitted search to this machine.

    Args:
        name: name of the run and of the job.
        address: address of the cluster's dashboard.
        folder: folder on this machine to write to.

    Returns:
        The files written.

    Raises:
        InvalidInput: there is no such job, or the folder is a run of this machine, or cannot be written.
        TemperError: the run cannot be read on the cluster.
    """
    archive.check_place(folder)
    jobs = Jobs(address)
    run = jobs.metadata(_newest(jobs, name)).get("run")
    if run is None:
        raise InvalidInput(f"{name}: not a search that `temper submit` sent")
    command = ["python", "-m", archive.__name__, run]
    return archive.unpack(jobs.output(f"{name}-fetch-{uuid.uuid4().hex[:8]}", command), folder, run)


def _check_paths(study: Study, beside: Collection[str]) -> None:
    """Refuse relative paths of weights and images that are not sent along, since the head has no such folder.

    Args:
        study: the study.
        beside: what is sent, by its path from the study's folder.

    Raises:
        InvalidInput: it lists each by its key.
    """
    other = study.other_data
    named = {
        "pretrained.path": None if study.pretrained is None else study.pretrained.path,
        "data.path": study.data.path,
        "other_data.path": None if other is None else other.path,
    }
    problems = [
        f"{key}: got {path!r}, which is not sent to the cluster; name it in `ship`, or give an absolute path that its "
        "nodes share"
        for key, path in named.items()
        if path is not None and not _is_absolute(path) and not any(_lies_in(path, sent) for sent in beside)
    ]
    if problems:
        raise InvalidInput(*problems)


def _is_absolute(path: str) -> bool:
    return "://" in path or path.startswith("~") or Path(path).is_absolute()


def _lies_in(path: str, sent: str) -> bool:
    return PurePosixPath(path).is_relative_to(PurePosixPath(sent))


def _newest(jobs: Jobs, name: str) -> str:
    """Return the newest job of a name; the name itself where there is none, which the job server then refuses."""
    return [name, *jobs.series(name)][-1]
