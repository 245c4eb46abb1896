"""The page in Debian's Chromium, wide and on a phone, by day and by night; screenshots lie in pytest's own folders."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from made_up_runs import EVIL

from tina_lite.report import html_page, read_run

pytest.importorskip("plotly", reason="plotly is not installed")
pytest.importorskip("selenium", reason="selenium is not installed")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium with chromedriver; make browser"),
]
SECTIONS = (
    "reward",
    "dollars",
    "evaluation",
    "length",
    "money",
    "paper",
    "samples",
    "health",
    "bought",
    "recipe",
    "repeat",
)
SIZES = ((1280, 900), (390, 844))
QUIET = ("headless=new", "no-sandbox", "disable-gpu", "no-first-run", "hide-scrollbars")
OFFLINE = ("disable-background-networking", "disable-component-update", "disable-sync", "disable-dev-shm-usage")
PATIENCE_S = 300
"""Of a machine with other things to do."""

Make = Callable[..., Path]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for word in (*QUIET, *OFFLINE, f"user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(f"--{word}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options, Service(DRIVER))
    driver.set_page_load_timeout(PATIENCE_S)
    driver.set_script_timeout(PATIENCE_S)
    yield driver
    driver.quit()


def show(browser: Any, folder: Path, html: str, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
    """Open a page as a person would; what the browser said of earlier pages is forgotten."""
    from selenium.webdriver.support.ui import WebDriverWait

    (folder / "shown.html").write_text(html)
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    colours = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", colours)
    browser.get("about:blank")
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get((folder / "shown.html").as_uri())
    # a navigation may be told of before the page is there; what never draws fails here
    WebDriverWait(browser, PATIENCE_S).until(
        lambda driver: driver.execute_script("return document.body && document.body.dataset.drawn") == "yes"
    )


def requests(browser: Any) -> list[str]:
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [message["params"] for message in messages if message["method"] == "Network.requestWillBeSent"]
    return [params["request"]["url"] for params in sent]


def screenshot(browser: Any, path: Path) -> tuple[int, int]:
    """Of the whole page; its width and height."""
    import base64

    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "format": "png"})
    data = base64.b64decode(shot["data"])
    path.write_bytes(data)
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_section_is_seen_without_an_error_or_a_request(
    browser: Any, make_run: Make, tmp_path: Path, width: int, height: int, scheme: str
) -> None:
    show(browser, tmp_path, html_page([read_run(make_run())]), width, height, scheme)
    heads = browser.execute_script("return [...document.querySelectorAll('h2')].map(h => [h.id, h.offsetHeight])")
    assert {name for name, height in heads if height > 0} >= set(SECTIONS)
    curves = browser.execute_script(
        "return [...document.querySelectorAll('.plot')].map(p => [p.id, p.querySelectorAll('.trace path').length])"
    )
    assert len(curves) == 5
    assert all(count > 0 for _, count in curves)
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    assert requests(browser) == [(tmp_path / "shown.html").as_uri()]
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    wide, _ = screenshot(browser, tmp_path / f"{width}-{scheme}.png")
    assert wide == width


def test_the_pictures_follow_the_page_into_the_dark(browser: Any, make_run: Make, tmp_path: Path) -> None:
    show(browser, tmp_path, html_page([read_run(make_run())]))
    ask = "return getComputedStyle(document.querySelector('#plot-reward .main-svg')).background"
    day = browser.execute_script(ask)
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(() => arguments[0]()))")
    assert browser.execute_script(ask) != day


def test_the_text_of_a_model_never_runs(browser: Any, make_run: Make, tmp_path: Path) -> None:
    show(browser, tmp_path, html_page([read_run(make_run(evil=EVIL))]))
    assert browser.execute_script("return window.hacked === undefined")
    shown = browser.execute_script("return document.querySelector('#samples').parentElement.textContent")
    assert "<script>window.hacked = 1</script>" in shown


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, from npm."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm to fetch axe-core with")
    folder = tmp_path_factory.mktemp("axe")
    command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "axe-core@4.10.3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.skip(f"npm gives no axe-core: {done.stderr.strip()[:200]}")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_axe_finds_nothing(
    browser: Any, axe: str, make_run: Make, tmp_path: Path, width: int, height: int, scheme: str
) -> None:
    runs = [read_run(make_run(name, evil=EVIL)) for name in ("one", "two")][: 1 if scheme == "light" else 2]
    show(browser, tmp_path, html_page(runs), width, height, scheme)
    browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    browser.execute_script(axe)
    found = browser.execute_async_script("axe.run().then(arguments[0])")
    assert len(found["passes"]) > 20
    faults = [(fault["id"], [node["html"][:120] for node in fault["nodes"][:3]]) for fault in found["violations"]]
    assert faults == []
