"""A run in a real kernel: its picture, its table, and what an interrupt leaves."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tina_lite.console.notebook import Summary, in_notebook, picture

LIMIT_S = 120.0
SET_UP = """
from tina_lite import load_recipe, run
recipe = load_recipe({recipe!r}, {{"stop.max_steps": {steps}}})
"""


def test_this_is_no_notebook() -> None:
    assert not in_notebook()


def test_the_picture_is_html_that_a_completion_cannot_break(
    story: Callable[..., Any], seen: Callable[..., Any]
) -> None:
    html = picture(seen(story(steps=3, completion="<script>alert(1)</script>")), 50.0)
    assert html.startswith("<pre")
    assert "step 3 of 20" in html
    assert "<script" not in html
    assert "\x1b" not in html


def test_a_summary_is_a_table_of_what_a_terminal_would_show() -> None:
    html = Summary({"stop_reason": "max_steps", "steps": 3, "usd": 0.01})._repr_html_()
    assert "<tr><th>ended by</th><td>max steps</td></tr>" in html


@pytest.fixture
def kernel() -> Iterator[Any]:
    manager = pytest.importorskip("jupyter_client").KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=LIMIT_S)
    client.manager = manager
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def said(kernel: Any, code: str, then: Callable[[dict[str, Any]], None] = lambda message: None) -> list[dict[str, Any]]:
    """What a cell says, up to its end."""
    asked, found = kernel.execute(code), []
    while True:
        message = kernel.get_iopub_msg(timeout=LIMIT_S)
        if message["parent_header"].get("msg_id") != asked:
            continue
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return found
        found.append(message)
        then(message)


@pytest.mark.slow  # it starts two kernels, each with torch
def test_a_run_draws_one_picture_in_place_and_ends_as_a_table(kernel: Any, quick_recipe: Path, tmp_path: Path) -> None:
    said(kernel, SET_UP.format(recipe=str(quick_recipe), steps=3))
    messages = said(kernel, f"run(recipe, out={str(tmp_path / 'out')!r})")
    shown = [message for message in messages if message["msg_type"] == "display_data"]
    updates = [message for message in messages if message["msg_type"] == "update_display_data"]
    (result,) = (message for message in messages if message["msg_type"] == "execute_result")
    assert len(shown) == 1
    places = {message["content"]["transient"]["display_id"] for message in (*shown, *updates)}
    assert len(places) == 1
    assert "step 3 of 3" in updates[-1]["content"]["data"]["text/html"]
    assert "<th>ended by</th><td>max steps</td>" in result["content"]["data"]["text/html"]


@pytest.mark.slow
def test_an_interrupt_of_the_kernel_saves(kernel: Any, quick_recipe: Path, tmp_path: Path) -> None:
    out, interrupted = tmp_path / "out", []

    def interrupt(message: dict[str, Any]) -> None:
        drawn = message["content"].get("data", {}).get("text/html", "")
        if "step 2" in drawn and not interrupted:
            interrupted.append(True)
            kernel.manager.interrupt_kernel()

    said(kernel, SET_UP.format(recipe=str(quick_recipe), steps=2000))
    (error,) = (one for one in said(kernel, f"run(recipe, out={str(out)!r})", interrupt) if one["msg_type"] == "error")
    assert error["content"]["ename"] == "Interrupted"
    assert "tina-lite resume" in error["content"]["evalue"]
    assert list((out / "checkpoints").iterdir())
    assert '"stop_reason": "interrupted"' in (out / "summary.json").read_text()


@pytest.mark.slow
def test_a_notebook_that_was_open_for_hours_pays_for_what_it_calls(kernel: Any) -> None:
    code = "from tina_lite.budget.meter import ProcessClock; assert ProcessClock().elapsed_s() < 0.1"
    assert not [one for one in said(kernel, f"import time; time.sleep(0.5); {code}") if one["msg_type"] == "error"]
