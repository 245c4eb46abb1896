"""What is posted at start, alarm and end; and that an address that is dead, or dies, costs a warning."""

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tina_lite import load_recipe, run
from tina_lite.track.webhook import address_of
from tina_lite.util.errors import BadInput


@pytest.fixture
def hook() -> Iterator[SimpleNamespace]:
    """A server that keeps what is posted; `answers` are the statuses that it gives, 200 from then on."""
    found = SimpleNamespace(posted=[], answers=[])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(found.answers.pop(0) if found.answers else 200)
            self.end_headers()

        def log_message(self, *parts: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.address = f"http://127.0.0.1:{server.server_port}/secret"
    yield found
    server.shutdown()
    server.server_close()


def warnings_of(quick_recipe: Path, out: Path, address: str, **changes: Any) -> list[str]:
    told: list[Any] = []
    recipe = load_recipe(quick_recipe, {"notify": address, **changes})
    run(recipe, out=out, listeners=[lambda stamped: told.append(stamped.event)])
    return [event.text for event in told if event.event == "notice" and event.level == "warning"]


def test_start_alarm_and_end_are_posted_in_words_that_chats_show(
    hook: SimpleNamespace, quick_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_HOOK", hook.address)
    changes = {"alarms.clipped": -1.0, "stop.max_steps": 6}  # some completions are cut off: no share is below 0
    warned = warnings_of(quick_recipe, tmp_path / "out", "$MY_HOOK", **changes)
    assert not [text for text in warned if "notify" in text]
    kinds = [line["event"] for line in hook.posted]
    assert kinds[0] == "run_started"
    assert kinds[-1] == "run_finished"
    alarm = next(line for line in hook.posted if line["event"] == "alarm")
    assert alarm["text"] == alarm["content"] == f"out, step 5, clipped: {alarm['words']}; try {alarm['advice']}"
    assert hook.posted[-1]["text"].startswith("out ended: max steps, 6 steps, $")
    assert not [path for path in (tmp_path / "out").rglob("*.*") if b"/secret" in path.read_bytes()]


def test_what_a_dead_address_costs_is_a_warning(quick_recipe: Path, tmp_path: Path) -> None:
    warned = warnings_of(quick_recipe, tmp_path / "out", "http://127.0.0.1:9/")
    (text,) = (text for text in warned if "notify" in text)
    assert "notify: failed, and the run goes on without it: ConnectError" in text


def test_an_address_that_refuses_is_a_warning(hook: SimpleNamespace, quick_recipe: Path, tmp_path: Path) -> None:
    hook.answers = [404]
    (text,) = (text for text in warnings_of(quick_recipe, tmp_path / "out", hook.address) if "notify" in text)
    assert "404" in text


@pytest.mark.parametrize("given", ["slack", "$NO_SUCH_VARIABLE", "ftp://a"])
def test_what_is_no_address_is_refused_before_anything_is_spent(given: str, quick_recipe: Path, tmp_path: Path) -> None:
    assert "NO_SUCH_VARIABLE" not in os.environ
    with pytest.raises(BadInput, match=r"notify: .* is no address"):
        run(load_recipe(quick_recipe, {"notify": given}), out=tmp_path / "out")
    with pytest.raises(BadInput):
        address_of(given)
