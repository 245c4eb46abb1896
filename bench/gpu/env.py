"""Prints the card, its driver, the versions that figures depend on and what is missing, as one line of JSON."""

import json
import platform
from importlib import metadata
from importlib.util import find_spec

PACKAGES = ("torch", "triton", "transformers", "peft", "bitsandbytes", "unsloth", "unsloth_zoo", "trl", "vllm")
NEEDED = (
    *("torch", "triton", "transformers", "peft", "bitsandbytes", "safetensors", "math_verify", "pydantic"),
    *("ruamel.yaml", "rich", "click", "pytest", "hypothesis"),
)
"""Modules without which some part cannot run."""


def version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def is_missing(module: str) -> bool:
    try:
        return find_spec(module) is None
    except ModuleNotFoundError:
        return True


def facts() -> dict[str, object]:
    import torch

    from tina_lite.util.device import ask_driver

    card = torch.cuda.get_device_properties(0) if torch.cuda.is_available() else None
    driver = ask_driver("driver_version")
    return {
        "card": card.name if card else None,
        "memory_gib": round(card.total_memory / 1024**3, 2) if card else None,
        "capability": f"{card.major}.{card.minor}" if card else None,
        "driver": driver[0] if driver else None,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "missing": ", ".join(filter(is_missing, NEEDED)) or "nothing",
    }


if __name__ == "__main__":
    print(json.dumps(facts()))
