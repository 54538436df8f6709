"""Work that was lost and done again, counted; and what a device gave."""

from errno import ENOSPC
from os import strerror
from pathlib import Path

import pytest
import torch

import trainables.local_files
from trainables.attacks.config import NFGSM
from trainables.checkpoints.checkpoint import read_newest, torn, write
from trainables.compression.config import ChannelPruning
from trainables.compute.device_usage import DeviceUsage, meter_of
from trainables.compute.lost_work import LostWork
from trainables.data.config import Data
from trainables.data.splits import load_splits
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.pipeline import Pipeline
from trainables.models.config import Network
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import Schedule
from trainables.storage import Folder

DATA = Data(name="digits", train_size=100, validation_size=50)
RECIPE = Recipe(
    data=DATA,
    model=Network(name="small"),
    compression=ChannelPruning(pruning_ratio=0.5, importance="taylor"),
    perturbation=NFGSM(epsilon=0.1),
    schedule=Schedule(epochs=3, learning_rate=0.02),
)


def start(place: Path) -> tuple[Pipeline, LostWork]:
    """As a trial's process starts: from the newest checkpoint."""
    pipeline = Pipeline(RECIPE, ScoringProtocol(epsilon=0.1, steps=1), load_splits(DATA), None, torch.device("cpu"))
    pipeline.restore(Folder(str(place / "checkpoint")))
    return pipeline, LostWork.next(Folder(str(place / "attempts")))


def test_epochs_begun_again_and_preparing_again_are_lost_work(tmp_path: Path) -> None:
    checkpoint = Folder(str(tmp_path / "checkpoint"))
    pipeline, attempts = start(tmp_path)
    attempts.begin(1)
    pipeline.step()
    pipeline.save(checkpoint)
    attempts.begin(2)  # and the process is lost
    pipeline, attempts = start(tmp_path)
    attempts.begin(2)  # once more
    pipeline, attempts = start(tmp_path)
    assert attempts.number == 3
    while not pipeline.finished:
        attempts.begin(pipeline.epoch + 1)
        pipeline.step()
        pipeline.save(checkpoint)
    first, second = (pipeline.history[index]["end_to_end_flops"] for index in (0, 1))
    assert first is not None
    assert second is not None
    lost = attempts.lost_flops(pipeline.history, pipeline.inherited_flops, pipeline.prepared_flops)
    assert pipeline.prepared_flops == pipeline.ledger.compression > 0
    assert lost == 2 * pipeline.ledger.compression + 2 * (second - first)
    assert LostWork.next(Folder(str(tmp_path / "other"))).number == 1


def test_nothing_is_lost_without_a_retry(tmp_path: Path) -> None:
    pipeline, attempts = start(tmp_path)
    while not pipeline.finished:
        attempts.begin(pipeline.epoch + 1)
        pipeline.step()
    assert attempts.lost_flops(pipeline.history, pipeline.inherited_flops, pipeline.prepared_flops) == 0


def test_a_meter_is_read_around_what_is_counted_and_survives_a_restart() -> None:
    readings = iter([100.0, 130.0, 500.0, 512.5])
    usage = DeviceUsage(lambda: next(readings))
    for _ in range(2):
        with usage.counted():
            pass
    assert usage.metrics()["energy_joules"] == pytest.approx(42.5)  # 30 + 12.5, not what others used between
    again = DeviceUsage(None)
    again.restore(usage.metrics())
    assert again.metrics() == usage.metrics()


def test_a_cpu_has_no_meter_and_reports_no_energy() -> None:
    assert meter_of(torch.device("cpu")) is None
    usage = DeviceUsage(None)
    with usage.counted():
        pass
    assert set(usage.metrics()) == {"device_seconds"}


@pytest.mark.gpu
def test_a_gpu_uses_energy() -> None:
    meter = meter_of(torch.device("cuda"))
    assert meter is not None
    usage = DeviceUsage(meter)
    x = torch.rand(4096, 4096, device="cuda")
    with usage.counted():
        for _ in range(200):
            x = x @ x / 4096
        torch.cuda.synchronize()
    assert usage.metrics()["energy_joules"] > 0


def test_a_torn_checkpoint_is_told_and_the_one_before_it_is_read(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    for epoch in (1, 2, 3):
        write(folder, epoch, {"weights": bytes(epoch)}, {"history": list(range(epoch))})
    assert torn(folder) == ([], 3)
    (tmp_path / "3" / "weights").write_bytes(b"")
    assert torn(folder) == ([3], 2)
    found = read_newest(folder)
    assert found is not None
    assert found.state["history"] == [0, 1]
    (tmp_path / "2" / "state.json").write_text("{")
    assert torn(folder) == ([2, 3], None)
    assert read_newest(folder) is None


def test_a_full_disk_leaves_no_part_of_a_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(system: object, path: str, content: bytes) -> None:
        Path(path).write_bytes(content[:1])
        raise OSError(ENOSPC, strerror(ENOSPC))

    Folder(str(tmp_path)).write("state.json", b"old")
    monkeypatch.setattr(trainables.local_files, "write_stream", full)
    with pytest.raises(OSError, match="No space left"):
        Folder(str(tmp_path)).write("state.json", b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"state.json": b"old"}
