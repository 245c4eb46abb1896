"""An export on the hub: what would be sent, and the sending."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tina_lite.util.errors import BadInput
from tina_lite.util.hub import HUB_ID

NO_TOKEN = "export: the hub wants a token that may write: set HF_TOKEN, or log in with `hf auth login`"


@dataclass(frozen=True, slots=True)
class Upload:
    """What would be sent, and where to."""

    repo: str
    private: bool
    folder: Path
    files: Sequence[tuple[str, int]]
    """Names in the repository and bytes."""
    warnings: Sequence[str]

    @property
    def bytes(self) -> int:
        return sum(size for _, size in self.files)


def plan_upload(folder: Path, repo: str, private: bool) -> Upload:
    """Check an upload without a network.

    BadInput where there is nothing to send, or the name cannot be a repository's.
    """
    if not HUB_ID.fullmatch(repo) or repo.count("/") != 1 or "@" in repo:
        raise BadInput(f"--repo {repo}: is no name of a hub repository; write OWNER/NAME")
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    if not paths:
        raise BadInput(f"{folder}: is not there yet; write it first with `tina-lite export RUN --to {folder.name}`")
    files = [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in paths]
    return Upload(repo, private, folder, files, _warnings(folder))


def _warnings(folder: Path) -> list[str]:
    """What a stranger who loads it would stumble over."""
    from tina_lite.policy.model_ref import CONFIG, read_config

    found = [] if (folder / "README.md").exists() else ["there is no model card (README.md)"]
    if (folder / CONFIG).exists():
        base = str(read_config(folder).get("base_model_name_or_path"))
        if Path(base).is_dir():
            found.append(f"its base is the local folder {base}: nobody else can load it; name a hub id in {CONFIG}")
    return found


def push(upload: Upload) -> str:
    """Create the repository where it is not there, send the folder as one commit; returns its address.

    BadInput without a token, without a network, or where the hub refuses. No message holds the token.
    """
    import httpx
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    token = get_token()
    if token is None:
        raise BadInput(NO_TOKEN)
    api = HfApi(token=token)
    try:
        api.create_repo(upload.repo, private=upload.private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=upload.repo,
            folder_path=upload.folder,
            allow_patterns=[name for name, _ in upload.files],
            commit_message="Add what tina-lite exported",
        )
    except (httpx.TransportError, OfflineModeIsEnabled) as error:
        raise BadInput(
            f"export: the hub cannot be reached ({type(error).__name__}); nothing is lost, try again"
        ) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        said = " ".join(str(error).split()).replace(token, "[token]")[:200]
        raise BadInput(f"export: the hub refused {upload.repo}: {said}") from None
    return str(commit.commit_url)
