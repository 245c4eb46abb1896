"""To the hub: shown without a network, refused in one line without a token, and no message holds the token."""

from types import SimpleNamespace

import httpx
import pytest

from tina_lite.export.hub import plan_upload, push
from tina_lite.util.errors import BadInput

TOKEN = "hf_secret"


@pytest.fixture
def upload(tmp_path):
    (tmp_path / "README.md").write_text("card")
    (tmp_path / "model.safetensors").write_bytes(b"12345")
    (tmp_path / ".cache").write_text("not sent")
    return plan_upload(tmp_path, "me/mine", private=True)


def test_what_would_be_sent(upload):
    assert upload.files == [("README.md", 4), ("model.safetensors", 5)]
    assert (upload.bytes, upload.repo, upload.private, upload.warnings) == (9, "me/mine", True, [])


@pytest.mark.parametrize("repo", ["mine", "a/b/c", "me/ mine", ""])
def test_a_repository_has_an_owner_and_a_name(tmp_path, repo):
    with pytest.raises(BadInput, match="OWNER/NAME"):
        plan_upload(tmp_path, repo, private=True)


def test_what_was_not_exported_yet_is_asked_for(tmp_path):
    with pytest.raises(BadInput, match="--to merged"):
        plan_upload(tmp_path / "merged", "me/mine", private=True)


def test_an_adapter_on_a_local_base_is_of_use_to_nobody_else(bare_run):
    assert "local folder" in plan_upload(bare_run / "adapter", "me/mine", private=True).warnings[-1]


class Hub:
    """Keeps what it is asked for, or fails as the real one does."""

    def __init__(self, error=None):
        self.error = error
        self.asked = []

    def create_repo(self, repo, **options):
        if self.error is not None:
            raise self.error
        self.asked.append((repo, options))

    def upload_folder(self, **options):
        self.asked.append(options)
        return SimpleNamespace(commit_url="https://hub/me/mine/commit/1")


def with_hub(monkeypatch, hub, token=TOKEN):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "get_token", lambda: token)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda token: hub)
    return hub


def test_one_private_repository_one_commit(monkeypatch, upload):
    hub = with_hub(monkeypatch, Hub())
    assert push(upload) == "https://hub/me/mine/commit/1"
    created, sent = hub.asked
    assert created == ("me/mine", {"private": True, "exist_ok": True})
    assert sent["allow_patterns"] == ["README.md", "model.safetensors"]


def test_without_a_token_nothing_is_asked_of_the_hub(monkeypatch, upload):
    hub = with_hub(monkeypatch, Hub(), token=None)
    with pytest.raises(BadInput, match="HF_TOKEN"):
        push(upload)
    assert hub.asked == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (httpx.ConnectError(f"no route, {TOKEN}"), "cannot be reached"),
        (ValueError(f"401 for {TOKEN}\nrequest id"), r"refused me/mine: 401 for \[token\] request id"),
    ],
)
def test_errors_are_one_line_without_the_token(monkeypatch, upload, error, said):
    with_hub(monkeypatch, Hub(error))
    with pytest.raises(BadInput, match=said) as caught:
        push(upload)
    assert TOKEN not in str(caught.value)
    assert "\n" not in str(caught.value)
