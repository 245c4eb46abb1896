"""The model card of an export."""

from pathlib import Path

from tina_lite.recipe import Recipe
from tina_lite.runs.summary import how_it_was_asked
from tina_lite.util.hub import HUB_ID, repo_and_revision

CARD = """---
library_name: {library}
{of_base}tags:
- grpo
- tina-lite
---

# {name}

{what}

{table}

{usage}

{asked}
"""
MERGED = """\
`{base}` with what a LoRA adapter learnt by GRPO merged into it, in {dtype}. The adapter was trained on the base in NF4,
and is merged into just that base, dequantised: so this model gives the text that the run gave."""
MERGED_USAGE = """\
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("PATH/TO/THIS/FOLDER")
tokenizer = AutoTokenizer.from_pretrained("PATH/TO/THIS/FOLDER")"""
GGUF = """\
`{base}` with what a LoRA adapter learnt by GRPO merged into it, as GGUF ({type}). The adapter was trained on the base
in NF4, and is merged into just that base, dequantised."""


def merged_card(name: str, base: str, dtype: str, adapter: Path, recipe: Recipe | None = None) -> str:
    what = MERGED.format(base=base, dtype=dtype)
    return _card("transformers", name, base, what, adapter, f"```python\n{MERGED_USAGE}\n```", recipe)


def gguf_card(name: str, base: str, file: str, file_type: str, adapter: Path, recipe: Recipe | None = None) -> str:
    what = GGUF.format(base=base, type=file_type)
    return _card("gguf", name, base, what, adapter, f"```sh\nllama-cli -m {file}\n```", recipe)


def _card(library: str, name: str, base: str, what: str, adapter: Path, usage: str, recipe: Recipe | None) -> str:
    """The hub takes no base but one of its own for the card's head."""
    on_hub = HUB_ID.fullmatch(base) is not None and not Path(base).exists()
    of_base = f"base_model: {repo_and_revision(base)[0]}\n" if on_hub else ""
    return CARD.format(
        library=library,
        of_base=of_base,
        name=name,
        what=what,
        table=table_of(adapter),
        usage=usage,
        asked=how_it_was_asked(recipe) if recipe else "",
    )


def table_of(adapter: Path) -> str:
    """Read the first table of an adapter's card: data, rewards, steps, price, results. Empty where there is none."""
    try:
        lines = (adapter / "README.md").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    first = next((at for at, line in enumerate(lines) if line.startswith("|")), len(lines))
    last = next((at for at in range(first, len(lines)) if not lines[at].startswith("|")), len(lines))
    return "\n".join(lines[first:last])
