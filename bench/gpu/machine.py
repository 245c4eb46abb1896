"""Prints the card and the versions that figures depend on, as one line of JSON."""

import json
from importlib import metadata

import torch


def version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


card = torch.cuda.get_device_properties(0) if torch.cuda.is_available() else None
facts = {
    "card": card.name if card else None,
    "memory_gib": round(card.total_memory / 1024**3, 2) if card else None,
    "cuda": torch.version.cuda,
    **{
        name: version(name)
        for name in ("torch", "transformers", "peft", "bitsandbytes", "unsloth", "unsloth_zoo", "vllm")
    },
}
print(json.dumps(facts))
