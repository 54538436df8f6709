"""Other pages in a real browser: a confirmed run's, one whose texts are hostile, and a comparison of two runs."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from analysis.comparison.page import page as compared
from analysis.comparison.sides import compare
from analysis.report.report import write_report
from analysis.run.trials import read_run
from tests.support.browsers import CHROMIUM, opened
from tests.support.confirmations import FAST, PICK, REFERENCE, confirmed_run
from tests.support.run_directories import add, start
from trainables.storage import Folder

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.mark.slow
def test_curves_by_epsilon_of_what_was_confirmed_can_be_touched(browser: Browser, tmp_path: Path) -> None:
    write_report(confirmed_run(tmp_path, 0.8, 0.81, 0.7, spread=0.0))
    for page in opened(browser, tmp_path / "report.html"):
        page.locator("#epsilons-1").scroll_into_view_if_needed()
        page.wait_for_selector("#epsilons-1 .scatterlayer .trace")
        assert page.locator("#epsilons-1 .legendtext").all_text_contents() == [PICK, REFERENCE, FAST]
        box = page.locator("#epsilons-1 .nsewdrag").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.2)
        page.wait_for_selector("#epsilons-1 .hoverlayer .legendtext")
        hover = page.locator("#epsilons-1 .hoverlayer").text_content() or ""
        assert "ε 0.2" in hover
        for name, robust in ((PICK, "0.800"), (REFERENCE, "0.810"), (FAST, "0.700")):
            assert f"{name} : {robust} ± 0." in hover
        broken = page.locator("h3:text('What broke them') + .wide tr").all_inner_texts()
        assert [line.split("\t") for line in broken[1:]] == [
            ["PGD", "0.100", "0.095", "0.150"],
            ["Square", "0.100", "0.095", "0.150"],
        ]


@pytest.mark.slow
def test_texts_of_a_run_stay_texts(browser: Browser, tmp_path: Path) -> None:
    bad = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    start(tmp_path, study=bad, name=bad, provenance={"command": bad}, network_findings=[bad])
    add(tmp_path, "pgd", role="baseline", name=bad, robust=0.8, params={bad: 1.0}, scores=[0.5])
    add(tmp_path, "a", number=1, robust=0.7, params={"kind": bad}, scores=[0.5])
    add(tmp_path, "lost", state="fail", reason=bad, number=2)
    write_report(read_run(Folder(str(tmp_path))))
    asked = list[str]()
    for page in opened(browser, tmp_path / "report.html"):
        page.on("dialog", lambda dialog: asked.append(dialog.message))
        page.click("#rows tbody tr:nth-child(2)")
        for name in ("curves", "parallel", "slices"):
            page.locator(f"#{name}").scroll_into_view_if_needed()
            page.wait_for_selector(f"#{name} .main-svg")
        assert page.locator("img[src=x]").count() == 0
        assert bad in page.locator("#rows").inner_text()
        assert asked == []


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_a_comparison_draws_both_runs_in_a_window_and_on_a_phone(browser: Browser, tmp_path: Path, width: int) -> None:
    names = [f"fashion-mnist-20261130-{number}20000" for number in range(2)]
    for number, name in enumerate(names):
        start(tmp_path / name)
        add(tmp_path / name, "base", role="base", robust=0.1, flops=0.0, end_to_end=1e8)
        add(tmp_path / name, "pgd", role="baseline", name="pgd_at_20", robust=0.8, flops=1e10)
        for one in range(3):
            robust, flops = 0.6 + 0.05 * one + 0.02 * number, 1e9 * (one + 1)
            add(tmp_path / name, f"p{one}", number=1 + one, robust=robust, flops=flops)
    runs = [read_run(Folder(str(tmp_path / name))) for name in names]
    (tmp_path / "compared.html").write_text(compared(compare(runs)), encoding="utf-8")
    for page in opened(browser, tmp_path / "compared.html", width, drawn=".plotly-graph-div:nth-of-type(1) .trace"):
        for number, figure in enumerate(page.locator(".plotly-graph-div").all()):
            assert figure.locator(".legendtext").all_text_contents() == names
            assert figure.locator(".scatterlayer .trace .js-line").count() == 2
            assert figure.locator(".scatterlayer .point").count() == (0 if number else 2 * 4)
            area = figure.locator(".nsewdrag").bounding_box()
            assert area is not None
            assert area["width"] > 0.6 * min(width, 1100)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
