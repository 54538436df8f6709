"""A search as a Ray Job: what is shipped, what it runs, and what comes back."""

import json
import os
import secrets
import sys
import tarfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from analysis.run.trials import read_run
from cluster.connection.runtime_env import COMMIT, commit, runtime_env
from search.remote import archive
from search.remote.submission import submit
from search.remote.user_modules import user_modules
from search.study.loading import load
from tests.support.command import SMALL, installed_temper, temper
from tests.support.heads import head
from tests.support.run_directories import worked_example
from trainables.errors import InvalidInput, TemperError
from trainables.storage import Folder
from trainables.user_code import TRUSTED
from trainables.user_modules import SHIPPED, WORKING_FOLDER

NETWORK = """
from torch import nn
def net(image_shape, classes):
    width = int(open("width.txt").read())
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, classes))
"""
TOKEN = secrets.token_hex(32)


def test_a_shipment_is_this_checkout_without_runs_or_environment(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "__init__.py").write_text("x = 1")
    (tmp_path / "single.py").write_text("y = 2")
    beside: dict[str, Path | bytes] = {
        "own": tmp_path / "own",
        "single.py": tmp_path / "single.py",
        "study.yaml": b"name: a",
    }
    with runtime_env(beside) as environment:
        folder = Path(environment["working_dir"])
        names = {path.name for path in folder.iterdir()}
        assert names == {"analysis", "cluster", "search", "trainables", "requirements.lock", SHIPPED}
        assert {path.name for path in (folder / SHIPPED).iterdir()} == set(beside)
        assert (folder / SHIPPED / "study.yaml").read_bytes() == b"name: a"
        assert (folder / SHIPPED / "own" / "__init__.py").read_text() == "x = 1"
        assert (folder / "search" / "study" / "shipped" / "digits.yaml").exists()
        assert not list(folder.rglob("__pycache__"))
        assert sum(path.stat().st_size for path in folder.rglob("*")) < 5e6
        assert environment["env_vars"] == {
            COMMIT: " ".join(commit()),
            WORKING_FOLDER: SHIPPED,
            "OMP_PROC_BIND": "false",
        }
    assert not folder.exists()


def test_the_commit_is_the_one_that_was_shipped_where_git_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COMMIT, "abc dirty")
    assert commit() == ("abc", "dirty")
    monkeypatch.setenv(COMMIT, "")
    assert commit() == ()


def test_own_modules_are_shipped_from_the_working_directory_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shipped_module.py").write_text("def data(split): ...\ndef model(shape, classes): ...\n")
    own = load("digits", ["data.name=shipped_module:data", "model.name=shipped_module:model"])
    assert user_modules(own) == {"shipped_module.py": tmp_path / "shipped_module.py"}
    assert user_modules(load("digits", ["model.name=torchvision:resnet18"])) == {}
    monkeypatch.setenv(TRUSTED, "json")
    assert user_modules(load("digits", ["data.name=json:loads"])) == {}


def test_a_parcel_comes_back_as_it_was(tmp_path: Path) -> None:
    run = Folder(str(tmp_path / "run"))
    content = {"report.html": os.urandom(100_000), "frontier.csv": b"a,b\n"}
    for name, data in {**content, "trials.parquet": b"not wanted"}.items():
        run.write(name, data)
    printed = f"2026 INFO noise\n{archive.pack(run)}\nmore noise"
    written = archive.unpack(printed, tmp_path / "home", "s3://lab/run")
    assert {path.name: path.read_bytes() for path in written} == content


def test_what_was_fetched_is_no_run_and_no_run_is_fetched_over(tmp_path: Path) -> None:
    worked_example(tmp_path / "cluster")
    packed, home = archive.pack(Folder(str(tmp_path / "cluster"))), tmp_path / "home"
    archive.unpack(packed, home, "s3://lab/run")
    archive.check_place(home)  # it may be fetched again
    with pytest.raises(InvalidInput, match=r"home: holds what `temper fetch` brought.*the run itself is s3://lab/run"):
        read_run(Folder(str(home)))
    with pytest.raises(InvalidInput, match="cluster: is a run of its own, which would be written over"):
        archive.check_place(tmp_path / "cluster")
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match="file: cannot be written"):
        archive.check_place(tmp_path / "file")


def test_ignore_files_keep_nothing_back_that_is_to_be_sent(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    for name in (".gitignore", ".rayignore", "weights.bin"):
        (tmp_path / "assets" / name).write_text("*")
    with runtime_env({"assets": tmp_path / "assets"}) as environment:
        folder = Path(environment["working_dir"])
        assert not [path for path in folder.rglob("*") if path.name in (".gitignore", ".rayignore")]
        assert (folder / "user_code" / "assets" / "weights.bin").exists()


@pytest.mark.parametrize("name", ["../report.html", "/tmp/report.html", "evil.sh", "trials/x"])
def test_a_hostile_parcel_writes_nothing_but_the_known_files(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Folder(str(tmp_path / "run"))
    run.write("report.html", b"hostile")
    packed = archive.pack(run)
    monkeypatch.setattr(tarfile.TarInfo, "name", property(lambda self: name, lambda self, value: None), False)
    assert archive.unpack(packed, tmp_path / "home", "run") == []
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.parametrize("cut", [0, 40, -30])
def test_a_torn_parcel_is_refused(cut: int, tmp_path: Path) -> None:
    run = Folder(str(tmp_path / "run"))
    run.write("report.html", os.urandom(1000))
    packed = archive.pack(run)
    with pytest.raises(TemperError, match="no whole archive came back"):
        archive.unpack(packed[:cut] + (archive.END if cut else ""), tmp_path / "home", "run")


def test_what_cannot_be_submitted_is_refused() -> None:
    study = load("digits")
    with pytest.raises(InvalidInput, match="--storage runs: expected a URI or an absolute path"):
        submit(study, address="http://127.0.0.1:1", storage="runs", name="a")
    with pytest.raises(InvalidInput, match=r"--address 127.0.0.1:1: expected the dashboard of a cluster, http://"):
        submit(study, address="127.0.0.1:1", storage="/runs", name="a")
    with pytest.raises(InvalidInput, match=r"--address http://127.0.0.1:1: no job server answers there"):
        submit(study, address="http://127.0.0.1:1", storage="/runs", name="a")


def test_weights_and_images_that_are_not_sent_are_refused_before_the_head_misses_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    save_file({"weight": torch.zeros(1)}, tmp_path / "mine" / "base.safetensors")
    settings = ["pretraining=null", "pretrained={path: mine/base.safetensors}"]
    settings += ["other_data={name: image_folder, path: photos, image_size: 8}"]

    def send(*more: str) -> None:
        submit(load("digits", [*settings, *more]), address="http://127.0.0.1:1", storage="/runs", name="a")

    with pytest.raises(
        InvalidInput, match=r"^pretrained.path: got 'mine/base.*\nother_data.path: got 'photos', which is not"
    ):
        send()
    (tmp_path / "photos").mkdir()
    with pytest.raises(InvalidInput, match="no job server answers there"):
        send("ship=[mine, photos]")


@pytest.mark.slow
@pytest.mark.alone
def test_a_submitted_search_is_followed_and_its_report_comes_back(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, home = tmp_path / "storage", tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    with head(tmp_path_factory.mktemp("ray"), TOKEN, dashboard=True) as ports:
        address = f"http://127.0.0.1:{ports['dashboard-port']}"
        arguments = ("submit", "digits", "--address", address, "--storage", str(storage), "--name", "sent")
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        refused = temper(*arguments, settings=SMALL, cwd=home)
        assert refused.returncode == 2, refused.stdout + refused.stderr
        assert "Traceback" not in refused.stderr
        monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
        (home / "copy.py").write_text(NETWORK)
        (home / "width.txt").write_text("16")
        own = [*SMALL, "model.name=copy:net", "ship=[width.txt]"]
        done = installed_temper(*arguments, "--follow", settings=own, cwd=home)
        (home / "copy.py").unlink()  # which `python -m`, by which the other commands are run, would find first
        assert done.returncode == 0, done.stdout + done.stderr
        going_on = temper(*arguments, "--or-resume", "--follow", settings=[*SMALL, "budget.trials=3"], cwd=home)
        assert going_on.returncode != 0
        assert "is a run of another study" in going_on.stdout + going_on.stderr  # so the second job has begun
        assert "9 recipes, 1 at once, into" in done.stdout  # the search's own output
        fetched = home / "runs" / "sent"
        assert (fetched / "report.html").read_bytes() == (storage / "sent" / "report.html").read_bytes()
        assert json.loads((fetched / "frontier.json").read_text())
        provenance = json.loads((fetched / "run.json").read_text())["provenance"]
        assert provenance["git_commit"] == (commit() or (None,))[0]
        again = temper(*arguments, settings=SMALL, cwd=home)
        assert again.returncode == 2
        assert "sent: there is a job of that name" in again.stderr
        missing = temper("fetch", "nosuch", "--address", address, cwd=home)
        assert missing.returncode == 2
        assert "nosuch: no such job" in missing.stderr
    told = temper("status", str(storage / "sent"))
    assert "9 of 9 recipes ended (9 complete), 0 unfinished" in told.stdout
    assert f"nothing was left to run; report {storage}/sent/report.html" in told.stdout


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.alone
def test_a_cluster_that_asks_for_no_token_is_joined_only_when_told(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with head(tmp_path_factory.mktemp("ray"), None) as ports:
        arguments = ("search", "digits", "--address", f"127.0.0.1:{ports['port']}", "--storage", str(tmp_path))
        settings = [*SMALL, "budget.trials=0"]
        refused = temper(*arguments, "--name", "run", settings=settings)
        assert refused.returncode == 2
        assert "the cluster asks for no token, so whoever reaches it can run code there" in refused.stderr
        assert not list(tmp_path.iterdir())
        done = temper(*arguments, "--name", "run", "--allow-unauthenticated", settings=settings)
        assert done.returncode == 0, done.stdout + done.stderr
