"""The report in a real browser: what a person can do with it, with a mouse, by keys, in the dark and on a phone."""

import csv
import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from analysis.export.selection import pick
from analysis.report.report import write_report
from analysis.run.trials import read_run
from tests.support.browsers import BOXES, CHROMIUM, WHERE, opened
from tests.support.run_directories import add, start
from trainables.evaluation.attacked_images import AttackedImages
from trainables.storage import Folder

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
REGION = {"robust_accuracy": ["0.6 of reference"], "compute": "1.1 of reference"}
WIDTHS = {1280: 10, 820: 6, 390: 2}  # of a desktop, a tablet and a phone, and how many names find a place at least
CROWD = 10  # baselines that lie so close together that their names have to be moved

# The chart is as wide as its place, and the names were placed for that width.
DRAWN = """() => {
  const chart = document.getElementById("frontier"), inside = document.getElementById("frontier").clientWidth;
  return Math.abs(chart._fullLayout.width - inside) < 2 && document.querySelector("#frontier .annotation .bg");
}"""
MEMBERS = "JSON.parse(document.getElementById('data').textContent).values.on_frontier.filter(Boolean).length"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a base, a crowd of baselines, thirty proposals, one that was stopped and one that runs."""
    root = tmp_path_factory.mktemp("runs") / "crowded"
    start(root, class_names=["ant", "bee", "cat", "dog", "<b>"], reference_point=REGION)
    add(root, "base", role="base", robust=0.2, flops=0.0, end_to_end=1e8)
    add(
        root,
        "pgd",
        role="baseline",
        name="pgd_at_20",
        number=1,
        robust=0.8,
        flops=1e10,
        end_to_end=1.01e10,
        scores=[0.5, 0.8],
    )
    for number in range(CROWD):
        name = f"baseline_{number}"
        add(
            root,
            name,
            role="baseline",
            name=name,
            number=2 + number,
            robust=0.7 + number / 1e3,
            flops=5e9 + 1e7 * number,
        )
    for number in range(30):
        params = {
            "epochs": 1 + number % 5,
            "perturbation": ("pgd", "n_fgsm")[number % 2],
            "learning_rate": 0.01 * (1 + number),
        }
        if number % 2 == 0:
            params["attack_steps"] = 2 + number % 3
        add(
            root, f"p{number:02}", number=20 + number, robust=0.3 + 0.015 * number - 0.1 * (number % 3 == 1),
            flops=1e8 * 1.1**number, scores=[0.2, 0.3], end_to_end=2e8 + 1e8 * 1.1**number, params=params,
            metrics={"inference_macs": 1e5 * (1 + number % 7)},
        )  # fmt: skip
    for name in ("pgd", "p29"):
        kept(name).write(Folder(str(root)).child("trials", name))
    add(root, "stopped", number=60, state="pruned", reason="dominated at rung 2")
    add(root, "running", number=61, state=None)
    write_report(read_run(Folder(str(root))))
    return root / "report.html"


def kept(name: str) -> AttackedImages:
    """Two images of 3 × 2 pixels in colour, which an attack moves by up to 20, and at the ends by more."""
    generator = np.random.default_rng(0)
    images = generator.integers(20, 236, (2, 3, 2, 3), dtype=np.uint8)
    images[0, 0, 0, 0] = 240
    moved = images.astype(int) + np.random.default_rng(len(name)).integers(-20, 21, images.shape)
    moved[0, 0, 0, 0] = 40  # by 200, more than a signed byte has
    return AttackedImages(
        images,
        moved.astype(np.uint8),
        labels=np.array([3, 4]),
        answers=np.array([3, 9]),
        attacked_answers=np.array([5, 9]),
    )


@pytest.fixture
def page(browser: Browser, report: Path) -> Iterator[Page]:
    yield from opened(browser, report)


def rows(page: Page) -> list[str]:
    return list(page.eval_on_selector_all("#rows tbody tr", "rows => rows.map(row => row.dataset.id)"))


def marks(page: Page) -> int:
    """How many recipes the frontier shows."""
    return page.locator("#frontier .scatterlayer .point").count()


def column(page: Page, name: str) -> list[str]:
    place = page.eval_on_selector_all(
        "#rows thead th", "(heads, name) => heads.findIndex(head => head.querySelector(`[data-key='${name}']`))", name
    )
    return page.locator(f"#rows tbody tr td:nth-child({place + 1})").all_inner_texts()


def test_hovering_over_a_point_shows_its_recipe_and_a_click_pins_it(page: Page) -> None:
    where = page.evaluate(WHERE, [1e8, 0.3])
    page.mouse.move(*where)
    page.wait_for_selector("#frontier .hoverlayer .hovertext")
    hover = page.locator("#frontier .hoverlayer").text_content() or ""
    assert "p00" in hover
    assert "robust 0.300 ± 0.020, clean 0.900" in hover
    assert "attack_steps 2" in hover
    page.mouse.click(*where)
    pinned = page.locator("#pinned").inner_text()
    assert "p00" in pinned
    assert page.locator("#command").inner_text().endswith("/crowded --pick p00 --format onnx --output p00.onnx")
    assert page.locator("#rows tr.pinned").get_attribute("data-id") == "p00"
    page.locator("#pinned summary", has_text="the whole recipe").click()
    assert "pruning_ratio: 0.5" in page.locator("#pinned details").last.inner_text()
    assert not page.locator("#pinned dt", has_text="± robust").is_visible()
    page.locator("#pinned summary", has_text="all other numbers").click()
    assert page.locator("#pinned dt", has_text="± robust").is_visible()


def pixels(page: Page, place: str, row: int) -> list[list[int]]:
    """What a row of images shows, each as red, green, blue and opacity of each pixel."""
    return list(
        page.eval_on_selector_all(
            f"#{place} tr:nth-child({row}) canvas",
            "(tiles) => tiles.map(one => [...one.getContext('2d').getImageData(0, 0, one.width, one.height).data])",
        )
    )


def test_images_under_attack_are_shown_of_what_is_pinned_and_of_the_reference(page: Page, report: Path) -> None:
    page.wait_for_selector("#attacked-reference canvas")
    knee = pick(read_run(Folder(str(report.parent))), "knee")[0].id
    assert page.locator("#pinned code").first.inner_text() == knee
    page.fill("#filter", "p29")
    page.click("#rows tbody tr")
    page.wait_for_function("() => document.getElementById('attacked').dataset.id === 'p29'")
    for place, name in (("attacked", "p29"), ("attacked-reference", "pgd")):
        page.wait_for_function(f"() => document.querySelectorAll('#{place} canvas').length === 6")
        images, attacked = kept(name).images, kept(name).attacked
        change = (128 + attacked.astype(int) - images).clip(0, 255)
        for row, expected in ((1, images), (2, attacked), (3, change)):
            opaque = np.concatenate([expected, np.full((2, 1, 2, 3), 255)], axis=1).transpose(0, 2, 3, 1)
            assert pixels(page, place, row) == opaque.reshape(2, -1).tolist()
        words = [page.locator(f"#{place} tr:nth-child({row})").inner_text().split() for row in (4, 5, 6)]
        assert words == [
            ["class", "dog", "<b>"],
            ["answer", "dog", "9", "✗"],
            ["answer", "under", "attack", "5", "✗", "9", "✗"],
        ]
    page.fill("#filter", "p07")
    page.click("#rows tbody tr")
    page.wait_for_selector("#attacked >> text=holds no images under attack")


def test_keys_walk_over_the_recipes_by_their_cost(page: Page) -> None:
    page.focus("#frontier")
    page.keyboard.press("Escape")  # lets go of the knee
    for key, expected in (("ArrowRight", "p00"), ("ArrowRight", "p01"), ("ArrowLeft", "p00")):
        page.keyboard.press(key)
        assert page.locator("#pinned code").inner_text() == expected
    page.keyboard.press("Escape")
    assert page.locator("#command").count() == 0
    page.focus("#rows tbody tr:nth-child(1)")
    page.keyboard.press("Enter")
    assert page.locator("#pinned code").inner_text() == rows(page)[0]


def test_the_axis_switches_between_kinds_of_compute_and_dominated_recipes_go_and_come(page: Page) -> None:
    for key, title in (("end_to_end_flops", "end-to-end training compute"), ("inference_macs", "multiply-accumulates")):
        page.check(f"[name=axis][value={key}]")
        page.wait_for_function(
            "title => document.querySelector('#frontier .xtitle').textContent.startsWith(title)", arg=title
        )
    page.check("[name=axis][value=train_flops]")
    page.click("#pinned button:text('unpin')")
    everything = marks(page)
    assert everything == CROWD + 1 + 30
    page.uncheck("#dominated")
    on_frontier = page.evaluate(MEMBERS)
    page.wait_for_function(
        "before => document.querySelectorAll('#frontier .scatterlayer .point').length < before", arg=everything
    )
    assert CROWD < marks(page) <= CROWD + 1 + on_frontier


def test_no_two_names_overlap_or_leave_the_plot_at_any_width_in_any_light(page: Page) -> None:
    for (width, least), theme in itertools.product(WIDTHS.items(), ("light", "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        if page.evaluate("document.documentElement.dataset.theme") != theme:
            page.click("#theme")
        page.wait_for_function(DRAWN)
        boxes = page.evaluate(BOXES, "#frontier .annotation .bg")
        assert len(boxes) >= least, (width, theme)
        for one, other in itertools.combinations(boxes, 2):
            apart = one[0] >= other[1] or other[0] >= one[1] or one[2] >= other[3] or other[2] >= one[3]
            assert apart, (width, theme, one, other)
        (plot,) = page.evaluate(BOXES, "#frontier .nsewdrag")
        for left, right, top, bottom in boxes:
            assert plot[0] - 2 <= left < right <= plot[1] + 2
            assert plot[2] - 2 <= top < bottom <= plot[3] + 2


def test_baselines_have_a_curve_and_what_lies_below_the_region_is_grey(page: Page) -> None:
    cheap, dear = "baseline_0", "pgd_at_20"
    drawn = page.evaluate("document.getElementById('frontier').data.find(one => one.name === `baselines' frontier`)")
    assert (drawn["x"][0], drawn["y"][0]) == (5e9, 0.7), cheap
    assert (drawn["x"][-1], drawn["y"][-1]) == (1e10, 0.8), dear
    assert drawn["line"]["shape"] == "hv"
    assert page.locator("#frontier .scatterlayer .js-line").count() == 2  # that line, and the frontier's
    (plot,) = page.evaluate(BOXES, "#frontier .nsewdrag")
    ((left, right, top, bottom),) = page.evaluate(BOXES, "#frontier .shapelayer path")
    assert top == pytest.approx(page.evaluate(WHERE, [1e9, 0.6 * 0.8])[1], abs=2)
    assert bottom >= plot[3] - 2
    assert (left, right) == (pytest.approx(plot[0], abs=2), pytest.approx(plot[1], abs=2))


def test_the_table_sorts_filters_and_copies_what_it_shows(page: Page) -> None:
    assert len(rows(page)) == 1 + 1 + CROWD + 30 + 2
    page.click("#rows [data-key=train_flops]")
    known = [float(text) for text in column(page, "train_flops") if text]
    assert known == sorted(known)
    assert (
        page.locator("#rows [data-key=train_flops]").evaluate("button => button.closest('th').ariaSort") == "ascending"
    )
    page.click("#rows [data-key=train_flops]")
    known = [float(text) for text in column(page, "train_flops") if text]
    assert known == sorted(known, reverse=True)
    before = marks(page)
    page.fill("#filter", "proposed Robust>=0.6 param.Perturbation=pgd")
    assert rows(page) == ["p28", "p26", "p24", "p20"]
    assert page.locator("#count").inner_text() == "4 of 44 recipes"
    page.wait_for_function("() => document.querySelectorAll('#frontier .scatterlayer .point').length === 4")
    assert marks(page) < before
    page.click("#copy")
    page.wait_for_function("() => document.getElementById('copy').textContent === 'copied'")
    page.fill("#filter", "nothing such")
    assert rows(page) == []


def test_copied_tables_hold_every_digit(browser: Browser, report: Path) -> None:
    for page in opened(browser, report):
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.fill("#filter", "p07")
        page.click("#copy")
        page.wait_for_function("() => document.getElementById('copy').textContent === 'copied'")
        copied = list(csv.DictReader(io.StringIO(page.evaluate("navigator.clipboard.readText()"))))
        assert [(row["id"], float(row["train_flops"]), float(row["robust_accuracy"])) for row in copied] == [
            ("p07", 1e8 * 1.1**7, 0.3 + 0.015 * 7 - 0.1)
        ]


@pytest.mark.slow
def test_a_brush_over_the_parallel_coordinates_filters_frontier_and_table(page: Page) -> None:
    page.locator("#parallel").scroll_into_view_if_needed()
    page.wait_for_selector("#parallel .parcoords .axis")
    axis = page.locator("#parallel .axis-overlays").first
    brush = axis.locator(".axis-brush rect").first
    box = brush.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.35, steps=8)
    page.mouse.up()
    page.wait_for_function("() => document.querySelectorAll('#rows tbody tr').length < 30")
    kept = rows(page)
    assert 0 < len(kept) < 30
    assert marks(page) == len(kept)
    page.click("#theme")  # in another theme it is drawn anew, and brushed as before
    page.wait_for_function("() => document.querySelector('#parallel').data[0].dimensions[0].constraintrange")
    assert rows(page) == kept


def test_curves_of_ticked_rows_are_drawn(page: Page) -> None:
    page.locator("#curves").scroll_into_view_if_needed()
    page.wait_for_selector("#curves .scatterlayer .trace")
    before = page.locator("#curves .scatterlayer .trace").count()
    page.fill("#filter", "p01")
    tick = page.get_by_label("learning curve of p01")
    assert not tick.is_checked()
    tick.check()
    page.wait_for_function(
        "before => document.querySelectorAll('#curves .scatterlayer .trace').length === before + 1", arg=before
    )


def test_growth_is_drawn_by_trials_and_by_compute(page: Page) -> None:
    page.locator("#growth").scroll_into_view_if_needed()
    page.wait_for_selector("#growth .scatterlayer .trace")
    assert "proposals" in str(page.locator("#growth .xtitle").text_content())
    page.check("[name=spent][value=flops]")
    page.wait_for_function("() => document.querySelector('#growth .xtitle').textContent.includes('FLOPs')")


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(390, False), (1280, True)])
def test_a_phone_and_the_dark_have_all_of_it(browser: Browser, report: Path, width: int, dark: bool) -> None:
    for page in opened(browser, report, width, dark):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for name in ("growth", "curves", "parallel", "slices"):
            page.locator(f"#{name}").scroll_into_view_if_needed()
            page.wait_for_selector(f"#{name} .main-svg")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, ground[4:-1].split(","))) < 200) == dark
        page.click("#theme")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != ground
