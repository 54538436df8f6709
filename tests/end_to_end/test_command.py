"""The command as a user runs it: whole searches, and refusals that leave nothing behind."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import optuna
import pandas as pd
import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from analysis.export.recipes import render
from analysis.run.trials import read_run
from search.tidying.needed import needed
from tests.support.command import SMALL, temper, temper_here
from trainables.evaluation.attacked_images import AttackedImages
from trainables.execution.ending import State
from trainables.storage import Folder

GRID = "grid={pruning_ratios: [0.5], bits: [8], seeds: 2, arms: [{name: cut, base: base}]}"
# b3 learns from its own base, b0; of the proposals the first three from b0, from the ordinary base, and from none.
SOFT = [
    "baselines.3.distillation={weight: 0.5}",
    "space.distillation={weight: [0, 0.5], temperature: [1, 2], teacher: [base, b0]}",
    "first=[{distillation_weight: 0.5, teacher: b0}, {distillation_weight: 0.5, teacher: base}, "
    "{distillation_weight: 0}]",
]


def search(place: Path, name: str) -> None:
    """A run made as by default: below runs/ of the working directory."""
    done = temper("search", "digits", "--name", name, settings=[*SMALL, *SOFT, GRID], cwd=place)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "orchestration" in done.stdout
    assert f"temper export runs/{name}" in done.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("place")
    search(place, "first")
    return place / "runs" / "first"


def test_a_run_directory_is_as_designed(run: Path) -> None:
    assert {path.name for path in run.iterdir()} == {
        "study.yaml", "run.json", "trials", "study.db", "trials.parquet", "frontier.json", "frontier.csv",
        "figures", "report.html", "tensorboard", "grid.csv", "sessions", "lease", "recipes.parquet", "record.parquet",
        "derived.json",
    }  # fmt: skip
    assert len(list((run / "trials").iterdir())) == 14  # 2 bases, 4 baselines, 4 proposals, 4 cells
    for trial in (run / "trials").iterdir():
        assert json.loads((trial / "outcome.json").read_text())["state"] == "complete"
        looked_at = AttackedImages.read(Folder(str(trial)))
        assert looked_at is not None
        assert looked_at.images.shape == (8, 1, 8, 8)
    curves = pd.read_parquet(run / "trials.parquet")
    assert set(curves["role"]) == {"base", "baseline", "grid", "proposed"}
    page = (run / "report.html").read_text()
    assert "https://cdn" not in page.split("<body>")[1]
    assert (run / "figures" / "frontier.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_the_report_opens_offline_and_draws(run: Path, tmp_path: Path) -> None:
    page = subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--no-first-run",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=5000",
            "--dump-dom",
            f"file://{run / 'report.html'}",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    assert len(re.findall(r'<path class="point', page)) >= 8


@pytest.mark.thorough
@pytest.mark.slow
def test_two_runs_with_one_worker_give_the_same_numbers(run: Path) -> None:
    search(run.parent.parent, "second")
    timed = ("device_seconds",)

    def outcomes(folder: Path) -> dict[str, dict[str, float]]:
        found = {}
        for trial in (folder / "trials").iterdir():
            metrics = json.loads((trial / "outcome.json").read_text())["metrics"]
            found[trial.name] = {name: value for name, value in metrics.items() if name not in timed}
        return found

    assert outcomes(run) == outcomes(run.with_name("second"))


def test_a_baseline_pays_for_the_robust_one_that_it_starts_from(run: Path) -> None:
    metrics = {}
    for trial in (run / "trials").iterdir():
        name = json.loads((trial / "recipe.json").read_text())["name"]
        metrics[name] = json.loads((trial / "outcome.json").read_text())["metrics"]
    assert metrics["b3"]["flops_ancestors"] == metrics["b0"]["train_flops"] > 0
    assert metrics["b3"]["train_flops"] > metrics["b0"]["train_flops"]
    assert metrics["b3"]["flops_base"] == 0
    assert metrics["b2"]["mac_ratio"] < 0.5
    assert metrics["b2"]["flops_ancestors"] == 0


def test_the_grid_is_scored_by_seed_without_fine_tuning(run: Path) -> None:
    table = pd.read_csv(run / "grid.csv")
    assert table[["base", "axis", "arm", "level", "seeds"]].to_numpy().tolist() == [
        ["base", "pruning", "cut", 0.5, 2],
        ["base", "quantization", "cut", 8.0, 2],
    ]
    base = json.loads((run / "run.json").read_text())["grid"]["bases"]["base"]
    scores = [json.loads((run / "trials" / one / "outcome.json").read_text())["metrics"] for one in base]
    clean = sum(metrics["clean_accuracy"] for metrics in scores) / 2
    assert table["clean"][1] == pytest.approx(clean, abs=0.03)  # 8 bits change next to nothing
    cells = json.loads((run / "run.json").read_text())["grid"]["cells"]
    for trial in (run / "trials" / one / "outcome.json" for one in cells):
        metrics = json.loads(trial.read_text())["metrics"]
        assert metrics["train_flops"] == metrics["flops_compression"] > 0  # tracing one image, or calibration
        assert metrics["epochs"] == 0
    assert (run / "figures" / "grid.png").read_bytes().startswith(b"\x89PNG")
    assert "data:image/png;base64," in (run / "report.html").read_text()


def test_a_distilled_recipe_pays_for_its_teacher(run: Path) -> None:
    learnt = set()
    trials = {}
    for trial in (run / "trials").iterdir():
        made = json.loads((trial / "recipe.json").read_text())
        trials[made["name"] or trial.name] = made["recipe"], json.loads((trial / "outcome.json").read_text())["metrics"]
    dense = 2 * trials["base"][1]["inference_macs"]
    for name, (recipe, metrics) in trials.items():
        soft = recipe["distillation"]
        if soft is None:
            assert metrics["flops_distillation"] == 0
            continue
        assert metrics["flops_distillation"] == 200 * dense  # every teacher here is dense
        of_b0 = recipe["base"] == trials["b0"][0] or soft["teacher"] == trials["b0"][0]
        assert metrics["flops_ancestors"] == (trials["b0"][1]["train_flops"] if of_b0 else 0)
        assert metrics["flops_base"] == (0 if name == "b3" else trials["base"][1]["end_to_end_flops"])
        learnt.add((name == "b3", soft["teacher"] is not None))
    assert learnt == {(True, False), (False, True), (False, False)}


def test_optuna_opens_the_database(run: Path) -> None:
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{run / 'study.db'}")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 4
    assert study.metric_names == ["robust_accuracy", "train_flops"]
    assert all(trial.duration and 0 < trial.duration.total_seconds() < 60 for trial in study.trials)


def test_tensorboard_has_curves_by_trial_and_of_the_search(run: Path) -> None:
    for folder in (run / "tensorboard").iterdir():
        events = EventAccumulator(str(folder))
        events.Reload()
        tags = set(events.Tags()["scalars"])
        wanted = {"search/hypervolume"} if folder.name == "search" else {"compute/train_flops"}
        wanted |= set() if folder.name == "search" or "cut" in folder.name else {"train/loss"}  # a cell is not trained
        assert wanted <= tags


def test_an_exported_recipe_is_reproduced_bitwise(run: Path, tmp_path: Path) -> None:
    exported = temper_here("export", str(run), "--pick", "max-robust")
    assert exported.returncode == 0, exported.stderr
    file = tmp_path / "recipe.yaml"
    file.write_text(exported.stdout)
    again = temper_here("reproduce", str(file))
    assert again.returncode == 0, again.stdout + again.stderr
    assert "bitwise" in again.stdout
    assert again.stdout.count(" same") == 6
    content = yaml.safe_load(exported.stdout)
    content["metrics"]["robust_accuracy"] += 1e-6
    file.write_text(yaml.safe_dump(content))
    assert temper_here("reproduce", str(file)).returncode == 1


def test_a_distilled_recipe_is_reproduced_bitwise_with_its_teacher(run: Path, tmp_path: Path) -> None:
    made = read_run(Folder(str(run)))
    trial = next(one for one in made.trials if (one.recipe["distillation"] or {}).get("teacher"))
    file = tmp_path / "recipe.yaml"
    file.write_text(render([trial], made, "yaml"))
    again = temper_here("reproduce", str(file))
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.count(" same") == 6


def test_a_model_is_written_as_onnx(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    done = temper_here("export", str(run), "--pick", "max-robust", "--format", "onnx", "--output", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    told = f"{re.escape(str(file))}: {file.stat().st_size:,} bytes; (.*)% of 100 validation images"
    found = re.match(told, done.stdout)
    assert found is not None, done.stdout
    assert float(found[1]) >= 99  # it is quantized: integer kernels may round a near tie the other way
    assert done.stdout.count("\n") == 1
    assert "Warning" not in done.stderr
    for arguments in (["--format", "onnx"], ["--output", str(file)]):
        refused = temper_here("export", str(run), *arguments)
        assert refused.returncode == 2
        assert "--output FILE goes with --format onnx" in refused.stderr


def test_a_finished_trial_and_its_deployed_file_are_evaluated(run: Path, tmp_path: Path) -> None:
    done = temper_here("evaluate", f"{run}:b0", "--attack", "quick", "--examples", "50", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    trial = next(one for one in read_run(Folder(str(run))).trials if one.name == "b0")
    assert found["model"] == f"{run}:{trial.id[:8]}  b0"
    assert (found["split"], found["examples"]) == ("validation", 50)
    assert found["threat_model"] == {"norm": "linf", "epsilon": 0.02}
    assert found["robust_accuracy"] == found["broken_by"].count(None) / 50 <= found["scored_accuracy"]
    assert found["clean_accuracy"] == 1 - found["broken_by"].count("clean") / 50
    file = tmp_path / "model.onnx"
    assert (
        temper_here("export", str(run), "--pick", "max-robust", "--format", "onnx", "--output", str(file)).returncode
        == 0
    )
    black = ["evaluate", str(file), "--data", str(run), "--attack", "quick", "--examples", "20"]
    deployed = temper_here(*black, "--transfer-from", f"{run}:b0")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    assert "20 validation images, L∞ ε 0.02, quick ensemble without gradients" in deployed.stdout
    assert [line.split()[0] for line in deployed.stdout.splitlines()[4:7]] == ["none", "Square", "transfer"]
    refused = temper_here("evaluate", f"{run}:zzz")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "no trial is called 'zzz', expected one such as" in refused.stderr


@pytest.mark.slow
def test_a_users_weights_are_taken_as_the_base(run: Path, tmp_path: Path) -> None:
    base = json.loads((run / "run.json").read_text())["base"]
    outcome = json.loads((run / "trials" / base / "outcome.json").read_text())["metrics"]
    path = run / "trials" / base / "checkpoint" / str(int(outcome["epochs"])) / "weights.safetensors"
    settings = [*SMALL, "pretraining=null", f"pretrained.path={path}", "budget.trials=1"]
    done = temper("search", "digits", "--name", "given", settings=settings, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"weights of {path}" in done.stdout
    given = tmp_path / "runs" / "given"
    (taken,) = (
        json.loads((folder / "outcome.json").read_text())["metrics"]
        for folder in (given / "trials").iterdir()
        if json.loads((folder / "recipe.json").read_text())["role"] == "base"
    )
    assert taken["robust_accuracy"] == outcome["robust_accuracy"]
    assert taken["end_to_end_flops"] == 0 < outcome["end_to_end_flops"]
    for wrong, message in {
        "pretrained.path=nowhere.pt": "pretrained.path: nowhere.pt: No such file",
        "pretrained=null": "pretraining, pretrained: got neither, expected one of them",
        "model.name=eight_layer": "holds other tensors than the network",
    }.items():
        refused = temper("search", "digits", "--name", "wrong", settings=[*settings, wrong], cwd=tmp_path)
        assert refused.returncode == 2
        assert message in refused.stderr
        assert not (given.parent / "wrong").exists()


def test_a_report_is_rebuilt_from_the_trials_alone(run: Path) -> None:
    frontier = (run / "frontier.json").read_text()
    (run / "frontier.json").unlink()
    assert temper_here("report", str(run)).returncode == 0
    assert (run / "frontier.json").read_text() == frontier


def test_a_run_that_exists_is_refused(run: Path) -> None:
    done = temper_here("search", "digits", "--storage", str(run.parent), "--name", "first")
    assert done.returncode == 2
    assert "exists already" in done.stderr


@pytest.mark.slow
def test_a_search_that_may_resume_goes_on_with_the_run_of_its_name(run: Path) -> None:
    arguments = ("search", "digits", "--storage", str(run.parent), "--name", "first", "--or-resume")
    done = temper(*arguments, settings=[*SMALL, *SOFT, GRID])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "14 recipes have ended before, 0 continue" in done.stdout
    other = temper(*arguments, settings=SMALL)
    assert other.returncode == 2
    assert "is a run of another study" in other.stderr


@pytest.mark.slow
def test_what_nothing_needs_is_dropped_and_all_that_a_run_is_for_still_works(run: Path, tmp_path: Path) -> None:
    pruned = tmp_path / "pruned"
    shutil.copytree(run, pruned)
    before = {path.name: path.read_bytes() for path in (pruned / "frontier.csv", pruned / "trials.parquet")}
    size = Folder(str(pruned)).size("trials")
    said = temper_here("prune", str(pruned), "--dry-run")
    assert said.returncode == 0, said.stderr
    assert "would be freed" in said.stdout
    assert Folder(str(pruned)).size("trials") == size
    found = read_run(Folder(str(pruned)))
    reasons = needed(found)
    lost = [one.id for one in found.trials if one.state is State.COMPLETE and one.id not in reasons]
    assert len(lost) > 1
    done = temper_here("prune", str(pruned), "--keep", lost[0])
    assert done.returncode == 0, done.stderr
    assert "1 wanted" in done.stdout
    assert Folder(str(pruned)).size("trials") < 0.7 * size
    assert temper_here("report", str(pruned)).returncode == 0
    assert {name: (pruned / name).read_bytes() for name in before} == before
    for pick in ("knee", "b0", lost[0]):
        written = temper_here(
            "export", str(pruned), "--pick", pick, "--format", "onnx", "--output", str(tmp_path / pick)
        )
        assert written.returncode == 0, written.stderr
    refused = temper_here("evaluate", f"{pruned}:{lost[1]}")
    assert (refused.returncode, "its weights were dropped by `temper prune`" in refused.stderr) == (2, True)
    assert ", 0 continue" in temper("resume", str(pruned)).stdout
    assert "0.0 of" in temper_here("prune", str(pruned), "--keep", lost[0]).stdout
