"""What the hub says to those who may not, or not now: one line with what mends it, at once."""

import httpx
import pytest
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from tina_lite import load_recipe, run
from tina_lite.util.errors import BadInput
from tina_lite.util.hub import Commits, what_mends

REQUEST = httpx.Request("GET", "https://huggingface.co/api/models/me/base")


def answer(status: int, kind: type = HfHubHTTPError) -> Exception:
    return kind(f"{status} said the hub", response=httpx.Response(status, request=REQUEST))


class Hub:
    def __init__(self, error: Exception, gated: bool = False) -> None:
        self._error, self._gated, self.asked = error, gated, 0
        self.sha, self.gated = "a" * 40, "auto" if gated else False

    def repo_info(self, *_, **__):
        self.asked += 1
        if not self._gated:
            raise self._error
        return self

    def auth_check(self, *_, **__):
        raise self._error


@pytest.mark.parametrize(
    ("error", "gated", "said"),
    [
        (answer(403, GatedRepoError), True, r"me/base is gated: .* https://huggingface\.co/me/base, then set HF_TOKEN"),
        (answer(401, RepositoryNotFoundError), False, r"the hub shows no me/base: is the name right\? .* HF_TOKEN"),
        (answer(404, RepositoryNotFoundError), False, r"the hub shows no me/base: is the name right\?"),
        (answer(429), False, r"too many requests from here \(429\): wait some minutes, or set HF_TOKEN"),
        (answer(503), False, r"the hub is out of order \(503\): try again later"),
        (
            ImportError("Using SOCKS proxy, but the 'socksio' package is not installed."),
            False,
            r"pip install 'httpx\[s",
        ),
    ],
    ids=["gated", "private", "not there", "too many", "out of order", "a SOCKS proxy"],
)
def test_a_run_is_refused_at_once_with_what_mends_it(quick_recipe, tmp_path, monkeypatch, error, gated, said):
    hub = Hub(error, gated)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    with pytest.raises(BadInput, match=rf"^model\.id: .*{said}"):
        run(load_recipe(quick_recipe, {"model.id": "me/base"}), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert hub.asked == 1
    with pytest.raises(BadInput, match=rf"^data\.source: .*{said}"):
        run(load_recipe(quick_recipe, {"data": {"source": "me/base"}}), out=tmp_path / "out")


def test_what_is_in_the_cache_is_taken_whatever_the_hub_says(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    (tmp_path / "models--me--base" / "refs").mkdir(parents=True)
    (tmp_path / "models--me--base" / "refs" / "main").write_text("b" * 40)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: Hub(answer(503)))
    assert Commits().pinned("me/base", "model") == f"me/base@{'b' * 40}"


def test_what_is_behind_another_error_is_found():
    outer = OSError("We couldn't connect to the hub")
    outer.__cause__ = answer(429)
    assert "(429)" in what_mends(outer, "me/base")
    assert what_mends(ValueError("a tensor"), "me/base") == ""
