"""What a person asked an evaluation for, and what it settled: a later session and a re-score do the same."""

import json
from dataclasses import asdict, dataclass, field, fields, replace
from hashlib import file_digest
from pathlib import Path
from typing import Any

from tina_lite.data.sources import EVAL_SEED
from tina_lite.policy.model_ref import TENSORS, ModelRef
from tina_lite.recipe.schema import RolloutSection
from tina_lite.util.disk import write_atomically
from tina_lite.util.errors import BadInput
from tina_lite.util.stateful import adapter

ASKED = "asked.json"


@dataclass(frozen=True, slots=True)
class EvalArgs:
    """The options of `tina-lite eval`, as they were given; None where they were not."""

    model: str
    benchmarks: tuple[str, ...]
    samples: int
    temperature: float
    top_p: float
    max_completion_length: int | None
    limit: int | None
    """Problems of each benchmark."""
    compare: tuple[str, ...]
    adapter_off: bool
    quantization: str | None
    dtype: str | None
    data: dict[str, Any] = field(default_factory=dict)
    """Fields of `data` in a recipe: where question and answer stand, what is said before, the template's switches."""

    def keep(self, folder: Path) -> None:
        """Write it into the evaluation's folder."""
        write_atomically(folder / ASKED, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "EvalArgs":
        """Read an evaluation's folder. BadInput where it is none."""
        path = folder / ASKED
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            if not set(kept) <= {field.name for field in fields(cls)}:
                raise ValueError("it is of another version")
            asked: EvalArgs = adapter(cls).validate_python(kept)
            return asked
        except FileNotFoundError:
            raise BadInput(f"--rescore: {folder} holds no evaluation (no {ASKED} there); name its folder") from None
        except (OSError, ValueError, TypeError) as error:
            raise BadInput(f"{path}: cannot be read ({error}); run the same command again without --rescore") from None


PROMPT_TOKENS = 512
"""Of a long prompt; where there are longer ones, fewer rows are decoded at once."""
MOST_SEQUENCES = 256
"""Completions that are decoded at once: more make no machine faster that was measured, and take memory."""
CHUNK_BATCHES = 2
"""A chunk is so many full batches: more keep the batch full longer, fewer are lost in a kill."""
SAMPLED = ("temperature", "top_p", "max_completion_length", "stop")
SETTLED_LATER = ("compute_dtype", "kv_tokens", "chunk_problems")
"""What the first session settled on this machine, and later ones keep to."""


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How completions are sampled: the same for every model, with the same random numbers."""

    samples: int
    rollout: RolloutSection
    """Of which the fields in SAMPLED count."""
    system_prompt: str | None = None

    def to_json(self) -> dict[str, Any]:
        sampled = {name: getattr(self.rollout, name) for name in SAMPLED}
        fields = {"samples": self.samples, **sampled, "system_prompt": self.system_prompt}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}


class Manifest:
    """settings.json: what the completions of a model were sampled with. BadInput where it is not what is asked now."""

    def __init__(self, path: Path, target: ModelRef, fields: dict[str, Any]) -> None:
        self._path = path
        self.target = target
        self._fields = fields

    @classmethod
    def of(cls, path: Path, target: ModelRef, sampling_params: SamplingParams) -> "Manifest":
        wanted: dict[str, Any] = {
            "model": target.model_id,
            "adapter_sha256": None if target.adapter is None else _digest(target.adapter / TENSORS),
            "quantization": target.quantization,
            **({"chat_template_kwargs": dict(target.template_kwargs)} if target.template_kwargs else {}),
            **sampling_params.to_json(),
            "seed": EVAL_SEED,
        }
        if not path.exists():
            dtype = _dtype_of(target)
            return cls(path, replace(target, compute_dtype=dtype), {**wanted, "compute_dtype": dtype})
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            settled = {name: kept[name] for name in SETTLED_LATER}
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{path}: cannot be read ({error}); restore it, or choose another --out") from error
        changed = next((name for name in wanted if kept.get(name) != wanted[name]), None)
        if changed is not None:
            was, now = kept.get(changed), wanted[changed]
            raise BadInput(
                f"{path.parent}: holds completions with {changed} {was}, now it is {now}; choose another --out"
            )
        return cls(path, replace(target, compute_dtype=settled["compute_dtype"]), {**wanted, **settled})

    def keep(self, free_kv_tokens: int) -> None:
        """Settle the sizes of batch and chunk, and write all down before the first completion."""
        if "chunk_problems" in self._fields:
            return
        row = self._fields["max_completion_length"] + PROMPT_TOKENS
        kv_tokens = min(free_kv_tokens, MOST_SEQUENCES * row)
        rows = CHUNK_BATCHES * max(1, kv_tokens // row)
        self._fields |= {"kv_tokens": kv_tokens, "chunk_problems": max(1, rows // self._fields["samples"])}
        write_atomically(self._path, json.dumps(self._fields, indent=2) + "\n")

    @property
    def kv_tokens(self) -> int:
        return int(self._fields["kv_tokens"])

    @property
    def chunk_problems(self) -> int:
        return int(self._fields["chunk_problems"])


def _dtype_of(target: ModelRef) -> str:
    """What `auto` comes to on this machine: a later session must not choose anew."""
    import torch

    from tina_lite.policy.pretrained import NAMES, compute_dtype, read_config

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return NAMES[compute_dtype(target.compute_dtype, device, read_config(target.model_id))]


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); copy the whole adapter folder") from error
