"""What a person asked an evaluation for, in asked.json: a re-score need not be told again."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from tina_lite.disk import write_atomically
from tina_lite.errors import BadInput
from tina_lite.stateful import adapter

ASKED = "asked.json"


@dataclass(frozen=True, slots=True)
class Asked:
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
        """Into the evaluation's folder."""
        write_atomically(folder / ASKED, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "Asked":
        """Of an evaluation's folder. BadInput where it is none."""
        path = folder / ASKED
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            if not set(kept) <= {field.name for field in fields(cls)}:
                raise ValueError("it is of another version")
            asked: Asked = adapter(cls).validate_python(kept)
            return asked
        except FileNotFoundError:
            raise BadInput(f"--rescore: {folder} holds no evaluation (no {ASKED} there); name its folder") from None
        except (OSError, ValueError, TypeError) as error:
            raise BadInput(f"{path}: cannot be read ({error}); run the same command again without --rescore") from None


def holds_one(folder: Path) -> bool:
    """Whether an evaluation was begun in this folder."""
    return (folder / ASKED).is_file()
