"""Models and tokenizers as transformers saves them, with what its version 4 and what is built on it look for."""

import json
from pathlib import Path
from typing import Any


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """A class that version 4 knows, and the chat template in tokenizer_config.json too."""
    tokenizer.save_pretrained(str(folder))
    added = {"tokenizer_class": "PreTrainedTokenizerFast"} if getattr(tokenizer, "is_fast", False) else {}
    if tokenizer.chat_template is not None:
        added["chat_template"] = tokenizer.chat_template
    _add(folder / "tokenizer_config.json", added)


def add_older_names(folder: Path) -> None:
    """rope_theta, rope_scaling and torch_dtype beside the names that they have in version 5."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    added = {"torch_dtype": config["dtype"]} if "dtype" in config else {}
    rope = config.get("rope_parameters") or {}
    if "rope_theta" in rope:
        added["rope_theta"] = rope["rope_theta"]
    if rope.get("rope_type", "default") != "default":
        added["rope_scaling"] = rope
    _add(folder / "config.json", added)


def _add(file: Path, fields: dict[str, Any]) -> None:
    config = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(config | fields, indent=2, sort_keys=True) + "\n", encoding="utf-8")
