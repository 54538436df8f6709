"""What the report keeps when it is drawn anew, and what it says of recipes that may not be on the frontier."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from analysis.report.report import write_report
from analysis.run.trials import read_run
from tests.support.browsers import CHROMIUM, WHERE, opened
from tests.support.report_pages import page_numbers, page_rows
from tests.support.run_directories import add, start
from trainables.storage import Folder

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
LEVEL = {"chance_accuracy": 0.1, "chance_accuracy_stderr": 0.01}
LOSSES = ('{"kind":"cross_entropy","label_smoothing":0.1}', '{"kind":"trades","beta":6.0}')
IMPORTANCES = {"frontier": {"epochs": 0.7, "loss": 0.3}, "clean_accuracy": {"epochs": 0.1, "loss": 0.9}}
NAMED = (
    "clean_accuracy", "robust_accuracy", "robust_accuracy_stderr", "train_flops", "end_to_end_flops", "inference_macs",
    "parameters", "model_bytes", "device_seconds", "seconds", "param.epochs",
)  # fmt: skip
SIZES = {"parameters": 1e5, "model_bytes": 4e5, "device_seconds": 3.0}
RANGE = "document.getElementById('frontier').layout.xaxis.range[0]"
CHARTS = ("growth", "curves", "parallel", "matters", "slices")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run under a constraint that its most robust proposal breaks, with one proposal that is at chance."""
    root = tmp_path_factory.mktemp("runs") / "bound"
    bound = {"metric": "clean_accuracy", "at_least": True, "bound": 0.85, "of_dense": False}
    start(root, constraints=[bound | {"text": "clean_accuracy >= 0.85"}])
    add(root, "base", role="base", robust=0.2, flops=0.0)
    add(
        root,
        "pgd",
        role="baseline",
        name="pgd_at_20",
        number=1,
        robust=0.8,
        flops=1e10,
        scores=[0.5, 0.8],
        metrics=SIZES,
    )
    for number in range(8):
        params = {"epochs": 1 + number, "averaging": (None, 0.9)[number % 2], "loss": LOSSES[number % 2]}
        add(root, f"p{number}", number=2 + number, robust=0.4 + number / 50, flops=1e8 * 2**number, params=params)
    add(root, "forbidden", number=20, robust=0.79, flops=2e8, metrics={"clean_accuracy": 0.5})
    add(root, "rounded", role="baseline", name="rounded", number=22, robust=0.3, flops=0.0, end_to_end=1e8)
    add(root, "blind", number=21, robust=0.1, flops=1e8, metrics=LEVEL)
    Folder(str(root)).write_json("importance.json", IMPORTANCES)
    write_report(read_run(Folder(str(root))))
    return root / "report.html"


@pytest.fixture
def page(browser: Browser, report: Path) -> Iterator[Page]:
    yield from opened(browser, report)


def test_what_may_not_be_on_the_frontier_is_told_with_the_reason(page: Page, report: Path) -> None:
    rows = page_rows(report.read_text())
    assert rows["forbidden"]["state"] == "complete: breaks clean_accuracy >= 0.85"
    assert str(rows["blind"]["state"]).startswith("complete: no better than chance: ")
    assert rows["p0"]["state"] == "complete"
    page.fill("#filter", "breaks")
    page.click("#rows tbody tr")
    assert "not on the frontier: breaks clean_accuracy >= 0.85" in page.inner_text("#pinned")


def test_what_costs_nothing_is_named_below_a_chart_of_powers(page: Page) -> None:
    assert page.inner_text("#free") == "Not in the chart, since it costs nothing: rounded."
    page.check("[name=axis][value=end_to_end_flops]")
    page.wait_for_selector("#free", state="hidden")


def test_no_averaging_is_a_choice_like_another_and_parts_have_short_names(page: Page, report: Path) -> None:
    rows = page_rows(report.read_text())
    assert [rows[f"p{number}"]["param.averaging"] for number in (0, 1)] == ["none", 0.9]
    assert rows["forbidden"]["param.averaging"] is None  # it was not asked for
    assert [rows[f"p{number}"]["param.loss"] for number in (0, 1)] == [
        "cross_entropy label_smoothing 0.1",
        "trades beta 6.0",
    ]
    page.fill("#filter", "averaging=none")
    assert page.locator("#rows tbody tr").count() == 4
    page.fill("#filter", "")
    page.locator("#slices").scroll_into_view_if_needed()
    page.wait_for_selector("#slices .scatterlayer .point")
    shown = page.evaluate("document.getElementById('slices').data[1].x")
    assert sorted(map(str, shown)) == ["0.9"] * 4 + ["none"] * 4


def test_columns_are_chosen_among_all_numbers_and_errors_are_hidden(page: Page) -> None:
    headings = "[...document.querySelectorAll('#rows thead [data-key]')].map(head => head.dataset.key)"
    offered = page.eval_on_selector_all("#columns input", "boxes => boxes.map(box => box.value)")
    assert set(NAMED) <= set(offered)
    assert "clean_accuracy" in page.evaluate(headings)
    assert "model_bytes" not in page.evaluate(headings)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    page.uncheck("#columns input[value=clean_accuracy]")
    page.check("#columns input[value=model_bytes]")
    assert "clean_accuracy" not in page.evaluate(headings)
    assert "model_bytes" in page.evaluate(headings)
    assert page.locator("#frontier .errorbar").count() > 0
    page.uncheck("#bars")
    page.wait_for_function("() => !document.querySelector('#frontier .errorbar path')")


def test_what_matters_for_the_frontier_comes_first(report: Path) -> None:
    assert list(page_numbers(report.read_text())["importances"]) == list(IMPORTANCES)


def test_a_chart_keeps_its_place_when_the_window_changes_and_its_zoom_when_a_point_is_pinned(page: Page) -> None:
    for height in (700, 900, 640):
        page.set_viewport_size({"width": 1280, "height": height})
        page.wait_for_timeout(300)
        place = page.evaluate("document.getElementById('frontier').getBoundingClientRect().height")
        assert place >= page.evaluate("document.getElementById('frontier')._fullLayout.height") >= 519
    page.evaluate("document.getElementById('frontier').scrollIntoView()")
    drawn = page.evaluate(RANGE)
    x, y = page.evaluate(WHERE, [1e9, 0.6])
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y - 20, steps=4)
    page.mouse.up()
    page.wait_for_function(f"drawn => {RANGE} !== drawn", arg=drawn)
    moved = page.evaluate(RANGE)
    before = page.inner_text("#pinned code")
    page.focus("#frontier")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("before => document.querySelector('#pinned code').textContent !== before", arg=before)
    assert page.evaluate(RANGE) == moved


def test_a_printed_report_has_all_of_its_charts(page: Page) -> None:
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    for name in CHARTS:
        page.wait_for_selector(f"#{name} .main-svg", state="attached")
