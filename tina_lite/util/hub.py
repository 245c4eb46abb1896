"""The Hugging Face hub: whether it can be reached, how its things are named, and which commit a name leads to.

Its own clients try each file for half a minute without a network.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from tina_lite.util.errors import BadInput

REACH_LIMIT_S = 10.0
LFS_POINTER = b"version https://git-lfs"
"""What begins a file in the place of one that Git LFS has not fetched."""
HUB_ID = re.compile(r"(\w[\w.-]*(?:/\w[\w.-]*)?)(?:@([\w./-]+))?")
"""A repository, and after an @ a branch, tag or commit of it, as in the hub's own paths (hf://OWNER/NAME@REVISION)."""
COMMIT = re.compile(r"[0-9a-f]{40}")


def unreachable(ask: Callable[[Any], object]) -> bool:
    """Whether a question to the hub's API, given as a function of it, finds no network. Any answer is an answer."""
    import httpx

    return isinstance(_fault_of(ask), httpx.TransportError)


def _fault_of(ask: Callable[[Any], object]) -> Exception | None:
    from huggingface_hub import HfApi

    try:
        ask(HfApi())
    except Exception as error:  # the hub's client has a dozen kinds, and none in common
        return error
    return None


def what_mends(error: BaseException | None, repo: str) -> str:
    """What to do about an answer of the hub, or a proxy before it; empty where it is something else."""
    while error is not None:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if type(error).__name__ == "GatedRepoError" or status == 403:
            return (
                f"{repo} is gated: agree to its terms at https://huggingface.co/{repo}, then set HF_TOKEN, or log in "
                "(hf auth login)"
            )
        if status in (401, 404):
            return (
                f"the hub shows no {repo}: is the name right? A private one wants HF_TOKEN, or a log-in (hf auth login)"
            )
        if status == 429:
            return (
                "the hub has had too many requests from here (429): wait some minutes, or set HF_TOKEN, which may ask "
                "more often"
            )
        if isinstance(status, int) and status >= 500:
            return f"the hub is out of order ({status}): try again later"
        if "socksio" in str(error):
            return "ALL_PROXY names a SOCKS proxy, which wants a package more: pip install 'httpx[socks]'"
        error = error.__cause__ or error.__context__
    return ""


def repo_and_revision(name: str) -> tuple[str, str | None]:
    """Split REPO@REVISION.

    >>> repo_and_revision("openai/gsm8k@v1"), repo_and_revision("openai/gsm8k"), repo_and_revision("/home/me@work")
    (('openai/gsm8k', 'v1'), ('openai/gsm8k', None), ('/home/me@work', None))
    """
    found = HUB_ID.fullmatch(name)
    return (found[1], found[2]) if found else (name, None)


class Commits:
    """Names of the hub with the commit that they lead to now. Without a network it is asked once and no more."""

    def __init__(self) -> None:
        self.cut_off = False
        """Whether there was no network."""

    def pinned(self, name: str, kind: Literal["model", "dataset"]) -> str:
        """As it stands where neither the hub nor its cache knows the name.

        BadInput where the hub refuses it, and it is not in the cache: each try again would be on the bill.
        """
        import httpx

        repo, revision = repo_and_revision(name)
        if revision and COMMIT.fullmatch(revision):
            return name
        said: list[str | None] = []

        def ask(api: Any) -> None:
            found = api.repo_info(repo, repo_type=kind, revision=revision, timeout=REACH_LIMIT_S)
            if getattr(found, "gated", False):
                api.auth_check(repo, repo_type=kind)
            said.append(found.sha)

        fault = None if self.cut_off else _fault_of(ask)
        self.cut_off = self.cut_off or isinstance(fault, httpx.TransportError)
        commit = said[0] if said else _cached(repo, kind, revision or "main")
        if not commit and (mends := what_mends(fault, repo)):
            raise BadInput(f"{'model.id' if kind == 'model' else 'data.source'}: {mends}")
        return f"{repo}@{commit}" if commit else name


def _cached(repo: str, kind: str, revision: str) -> str:
    """The commit of a branch or tag as it was last downloaded; empty where it never was."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    try:
        return (
            Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=repo, repo_type=kind), "refs", revision)
            .read_text()
            .strip()
        )
    except (OSError, ValueError):  # never downloaded, or no name that the hub would take
        return ""
