"""A model's shape from its config.json alone: shipped, in a folder, in the hub's cache, or from the hub."""

import json
from pathlib import Path
from typing import Any

from tina_lite.errors import BadInput
from tina_lite.hub import REACH_LIMIT_S, repo_and_revision, unreachable, what_mends
from tina_lite.policy.model_folder import CONFIG, model_folder, refuse_broken
from tina_lite.policy.shape import ModelShape

CONFIGS = Path(__file__).parent / "configs"
"""config.json of common bases as NAME--MODEL.json, cut to what a shape is made of."""


def read_shape(model_id: str) -> ModelShape:
    """The shape of a hub id, a local folder, or builtin:tiny. BadInput where no config.json can be had."""
    return ModelShape.from_config(_config(model_id), model_id)


def read_model_type(model_id: str) -> str:
    """The architecture as transformers names it, such as qwen2. BadInput as above."""
    return str(_config(model_id).get("model_type", ""))


def shipped_models() -> tuple[str, ...]:
    """Hub ids whose config.json ships with the package.

    >>> "Qwen/Qwen2.5-1.5B-Instruct" in shipped_models()
    True
    """
    return tuple(sorted(path.stem.replace("--", "/", 1) for path in CONFIGS.glob("*.json")))


def _config(model_id: str) -> dict[str, Any]:
    folder = Path(model_folder(model_id))
    if folder.is_dir() and (folder / CONFIG).is_file():
        return _read(folder / CONFIG, model_id)
    refuse_broken(model_id)
    if (repo := repo_and_revision(model_id)[0]) in shipped_models():
        return _read(CONFIGS / f"{repo.replace('/', '--', 1)}.json", model_id)
    return _read(_from_hub(model_id), model_id)


def _from_hub(model_id: str) -> Path:
    """config.json in the hub's cache, else fetched: a few kilobytes."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    repo, revision = repo_and_revision(model_id)
    advice = "give a folder with --model FOLDER, or one of: " + ", ".join(shipped_models()[:3]) + ", ..."
    try:
        cached = try_to_load_from_cache(repo, CONFIG, revision=revision)
        if isinstance(cached, str):
            return Path(cached)
        if unreachable(lambda api: api.model_info(repo, timeout=REACH_LIMIT_S)):
            raise BadInput(f"model.id: no config.json of {model_id} here, and the hub cannot be reached; {advice}")
        return Path(hf_hub_download(repo, CONFIG, revision=revision))
    except LocalEntryNotFoundError:
        raise BadInput(f"model.id: no config.json of {model_id} here, and the hub is switched off; {advice}") from None
    except (HfHubHTTPError, HFValidationError) as error:
        said = what_mends(error, repo) or " ".join(str(error).split()).split(". ")[0][:120]
        raise BadInput(f"model.id: the hub gives no config.json of {model_id} ({said}); {advice}") from None


def _read(path: Path, model_id: str) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"model.id: {path} of {model_id} cannot be read as JSON ({error})") from None
    if not isinstance(config, dict):
        raise BadInput(f"model.id: {path} of {model_id} is no JSON object")
    return config
