"""The Hugging Face hub: whether it can be reached, how its things are named, and which commit a name leads to.

Its own clients try each file for half a minute without a network.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

REACH_LIMIT_S = 10.0
LFS_POINTER = b"version https://git-lfs"
"""What begins a file in the place of one that Git LFS has not fetched."""
HUB_ID = re.compile(r"(\w[\w.-]*(?:/\w[\w.-]*)?)(?:@([\w./-]+))?")
"""A repository, and after an @ a branch, tag or commit of it, as in the hub's own paths (hf://OWNER/NAME@REVISION)."""
COMMIT = re.compile(r"[0-9a-f]{40}")


def unreachable(ask: Callable[[Any], object]) -> bool:
    """Whether a question to the hub's API, given as a function of it, finds no network. Any answer is an answer."""
    import httpx
    from huggingface_hub import HfApi

    try:
        ask(HfApi())
    except httpx.TransportError:
        return True
    except Exception:
        return False  # what the hub says is for the loader to say
    return False


def repo_and_revision(name: str) -> tuple[str, str | None]:
    """
    >>> repo_and_revision("openai/gsm8k@v1"), repo_and_revision("openai/gsm8k"), repo_and_revision("/home/me@work")
    (('openai/gsm8k', 'v1'), ('openai/gsm8k', None), ('/home/me@work', None))
    """
    found = HUB_ID.fullmatch(name)
    return (found[1], found[2]) if found else (name, None)


class Commits:
    """Names of the hub with the commit that they lead to now. Without a network it is asked once and no more."""

    def __init__(self) -> None:
        self._cut_off = False

    def pinned(self, name: str, kind: Literal["model", "dataset"]) -> str:
        """As it stands where neither the hub nor its cache knows the name."""
        repo, revision = repo_and_revision(name)
        if revision and COMMIT.fullmatch(revision):
            return name
        said: list[str | None] = []

        def ask(api: Any) -> None:
            said.append(api.repo_info(repo, repo_type=kind, revision=revision, timeout=REACH_LIMIT_S).sha)

        self._cut_off = self._cut_off or unreachable(ask)
        commit = said[0] if said else _cached(repo, kind, revision or "main")
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
