"""What a model's files say before any weight is loaded: its config.json, and what is wrong with its folder."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from tina_lite.policy.shape import ModelShape
from tina_lite.util.disk import digest_of
from tina_lite.util.errors import BadInput
from tina_lite.util.hub import LFS_POINTER, REACH_LIMIT_S, repo_and_revision, unreachable, what_mends

TINY_BASE = "builtin:tiny"
CONFIG, ADAPTER, INDEX = "config.json", "adapter_config.json", "model.safetensors.index.json"
COMPUTES = ("*.json", "*.jinja", "*.model", "*.txt", "*.safetensors", "*.bin")
AGAIN = "copy or download it again"
LENGTH_BYTES = 8
"""A .safetensors file begins with the length of its header, which is JSON."""
LONGEST_HEADER = 100_000_000
"""As the safetensors library has it."""


def model_folder(model_id: str) -> str:
    """The name under which transformers finds a model: the shipped base's folder, or the name as it stands."""
    if model_id == TINY_BASE:
        return str(Path(__file__).parent.parent / "base")
    if model_id.startswith("builtin:"):
        raise BadInput(f"model.id: {model_id} does not ship with the package; did you mean {TINY_BASE}?")
    return model_id


def as_pretrained(model_id: str) -> dict[str, str]:
    """The arguments by which transformers loads a model: a folder, or a repository of the hub, maybe at a revision."""
    folder = model_folder(model_id)
    name, revision = (folder, None) if Path(folder).is_dir() else repo_and_revision(folder)
    return {"pretrained_model_name_or_path": name} | ({"revision": revision} if revision else {})


def digests(model_id: str) -> dict[str, str]:
    """Digest what a model computes with, its weights, configs, tokenizer and template, by file; none of a hub id."""
    folder, found = Path(model_folder(model_id)), {}
    for file in sorted(file for pattern in COMPUTES for file in folder.glob(pattern)) if folder.is_dir() else ():
        with suppress(OSError):  # `refuse_broken` says what is wrong with it
            found[file.name] = digest_of(file)
    return found


def refuse_broken(model_id: str) -> None:
    """BadInput where a model's folder lacks something, or a file of it is damaged; a hub id is not looked at."""
    folder = Path(model_folder(model_id))
    if not folder.is_dir():
        if model_id.startswith((".", "/", "~")):
            raise BadInput(f"model.id: {model_id} is not a model folder (no config.json there)")
        return
    if not (folder / CONFIG).is_file():
        if (folder / ADAPTER).is_file():
            raise BadInput(
                f"model.id: {model_id} is an adapter{_base_of(folder / ADAPTER)}; give its base, or merge the two "
                "first (tina-lite export)"
            )
        raise BadInput(f"model.id: {model_id} is not a model folder (no config.json there)")
    read = {path.name: _read_json(path) for path in sorted(folder.glob("*.json"))}
    if (folder / ADAPTER).is_file():
        raise BadInput(
            f"model.id: {folder / ADAPTER}: an adapter lies in the model's folder, and would be passed over or trained "
            "too; merge it first (tina-lite export), or move it away"
        )
    _refuse_quantised(model_id, read[CONFIG])
    for path in _weights(model_id, folder, read.get(INDEX)):
        _refuse_broken_weights(path)


def _base_of(path: Path) -> str:
    try:
        base = json.loads(path.read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):
        base = None
    return f" of {base}" if base else ""


def _read_json(path: Path) -> Any:
    with _opened(path) as file:
        data = file.read()
    if data.startswith(LFS_POINTER):
        raise BadInput(f"model.id: {path} is a pointer of Git LFS in the place of the file; fetch it with git lfs pull")
    try:
        read = json.loads(data)
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict | list):
        raise BadInput(f"model.id: {path} is {'empty' if not data.strip() else 'damaged (not JSON)'}; {AGAIN}")
    return read


def _refuse_quantised(model_id: str, config: Any) -> None:
    """Weights that another program has made small cannot be put into NF4, nor be adapted."""
    quantization = config.get("quantization_config") if isinstance(config, dict) else None
    method = quantization.get("quant_method") if isinstance(quantization, dict) else None
    if method not in (None, "bitsandbytes"):
        raise BadInput(
            f"model.id: {model_id} is quantised already ({method}); choose the model without, which is put "
            "into NF4 here"
        )


def refuse_other_quantization(model_id: str, quantization: str) -> None:
    """BadInput where the weights of a folder are in bitsandbytes' form already, and another one is asked for."""
    file = Path(model_folder(model_id)) / CONFIG
    config = _read_json(file) if file.is_file() else {}
    kept = config.get("quantization_config") if isinstance(config, dict) else None
    if not isinstance(kept, dict):
        return
    form = "8 bits" if kept.get("load_in_8bit") else str(kept.get("bnb_4bit_quant_type", "fp4")).upper()
    if form != "NF4":
        raise BadInput(
            f"model.id: the weights of {model_id} are in {form}; choose the model without, which is put into NF4 here"
        )
    if quantization != "nf4":
        raise BadInput(f"model.quantization: the weights of {model_id} are in NF4 already; set model.quantization=nf4")


def _weights(model_id: str, folder: Path, index: Any) -> list[Path]:
    """The files that are going to be read; `index` is what INDEX holds, None where there is none."""
    single = folder / "model.safetensors"
    if single.exists():
        return [single]
    if index is None:
        found = [*folder.glob("*.safetensors"), *folder.glob("*.bin")]
        if not found:
            raise BadInput(f"model.id: {model_id} holds no weights (*.safetensors); copy the whole model folder")
        return found
    try:
        shards = sorted(set(map(str, index["weight_map"].values())))
    except (KeyError, TypeError, AttributeError):
        raise BadInput(f"model.id: {folder / INDEX} does not say where the weights are; {AGAIN}") from None
    missing = [shard for shard in shards if not (folder / shard).exists()]
    if missing:
        raise BadInput(f"model.id: {folder}: {', '.join(missing)} of {len(shards)} shards is missing; {AGAIN}")
    return [folder / shard for shard in shards]


def _refuse_broken_weights(path: Path) -> None:
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise BadInput(f"model.id: {path} is empty; {AGAIN}")
        first = file.read(len(LFS_POINTER))
        if first == LFS_POINTER:
            raise BadInput(
                f"model.id: {path} is a pointer of Git LFS in the place of the weights; fetch them with git lfs pull"
            )
        if path.suffix != ".safetensors":
            return
        length = int.from_bytes(first[:LENGTH_BYTES], "little")
        file.seek(LENGTH_BYTES)
        header = file.read(length) if length <= min(size, LONGEST_HEADER) else b""
    wanted = _end_of_tensors(header)
    if wanted is None:
        raise BadInput(f"model.id: {path} is damaged (no header of safetensors); {AGAIN}")
    if size != LENGTH_BYTES + length + wanted:
        raise BadInput(f"model.id: {path} is cut: it has {size:,} of {LENGTH_BYTES + length + wanted:,} bytes; {AGAIN}")


def _end_of_tensors(header: bytes) -> int | None:
    """Bytes of all tensors together; None where this is no header."""
    try:
        tensors: dict[str, Any] = json.loads(header)
        return max((one["data_offsets"][1] for name, one in tensors.items() if name != "__metadata__"), default=0)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError, IndexError):
        return None


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise BadInput(
            f"model.id: {path}: cannot be read ({error.strerror}); put the file there, or let this user read it"
        ) from error


CONFIGS = Path(__file__).parent / "configs"
"""config.json of common bases as NAME--MODEL.json, cut to what a shape is made of."""


def read_shape(model_id: str) -> ModelShape:
    """Read the shape of a hub id, a local folder, or builtin:tiny. BadInput where no config.json can be had."""
    return ModelShape.from_config(_config(model_id), model_id)


def read_model_type(model_id: str) -> str:
    """Read the architecture as transformers names it, such as qwen2. BadInput as above."""
    return str(_config(model_id).get("model_type", ""))


def shipped_models() -> tuple[str, ...]:
    """List the hub ids whose config.json ships with the package.

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
