"""The folder of an export: whole once it exists, checked against the run, with its card, and on the hub if wished."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tina_lite.data.prompts import encode, render
from tina_lite.policy.load import ModelRef
from tina_lite.policy.merge import add_older_names, save_tokenizer
from tina_lite.recipe import Recipe
from tina_lite.runs.summary import how_it_was_asked
from tina_lite.util.disk import replace_folder
from tina_lite.util.errors import BadInput, NoRoom
from tina_lite.util.hub import HUB_ID, repo_and_revision

if TYPE_CHECKING:
    from torch import Tensor

    from tina_lite.policy import Policy
    from tina_lite.policy.native import NativePolicy

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


QUESTIONS = (
    "What is 17 + 25?",
    "Sam has 12 pens. Sam buys 9. How many pens now?",
    "A train covers 180 km in 2 hours. How far does it go in 5 hours?",
    "Solve 3x + 7 = 40 for x.",
)
LENGTH = 32
"""Tokens of the answer to each."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What the run itself says."""

    prompts: "list[tuple[int, ...]]"
    answers: list[list[int]]
    """LENGTH token ids each, greedy; past the end of the text too."""
    logits: "Tensor"
    """(N, LENGTH, V) float32: before each token of the answers."""


@dataclass(frozen=True, slots=True)
class LogitDifference:
    """How far an export is from the run."""

    largest_difference: float
    """Of two logits."""
    same: int
    """Tokens at which both call the same one likeliest."""
    tokens: int

    def __str__(self) -> str:
        return (
            f"largest logit difference to base + adapter {self.largest_difference:.2g}, "
            f"the same likeliest token at {self.same} of {self.tokens}"
        )


def reference(policy: "Policy") -> Reference:
    """Give the answers of the policy's own decoder."""
    import torch

    chats = [[{"role": "user", "content": question}] for question in QUESTIONS]
    prompts = [encode(policy.tokenizer, render(policy.tokenizer, chat)) for chat in chats]
    decoder = policy.decoder(len(prompts), max(map(len, prompts)) + LENGTH)
    prefixes = decoder.prefill(prompts)
    decoder.admit(prefixes)
    logits = [torch.stack([prefix.logits for prefix in prefixes])]
    while len(logits) < LENGTH:
        logits.append(decoder.step(logits[-1].argmax(-1)))
    stacked = torch.stack(logits, dim=1).cpu()
    return Reference(prompts, stacked.argmax(-1).tolist(), stacked)


def logit_difference(expected: Reference, next_logits: "Callable[[Sequence[int]], Tensor]") -> LogitDifference:
    """`next_logits` gives an export's logits after each token of a sequence, (T, V)."""
    largest, same = 0.0, 0
    for prompt, answer, logits in zip(expected.prompts, expected.answers, expected.logits, strict=True):
        found = next_logits([*prompt, *answer[:-1]])[len(prompt) - 1 :]
        largest = max(largest, float((found - logits).abs().max()))
        same += int((found.argmax(-1) == logits.argmax(-1)).sum())
    return LogitDifference(largest, same, len(expected.prompts) * LENGTH)


SPARE_BYTES = 64 * 1024**2
"""For what is not weights, and so that the disk is not full to the last byte."""


def refuse_existing(target: Path) -> None:
    """BadInput where an export would overwrite something."""
    if target.exists():
        raise BadInput(f"{target}: exists already and is not overwritten; remove it, or name another folder with --out")


@contextmanager
def new_folder(target: Path, weight_bytes: int) -> Iterator[Path]:
    """A folder to write into, which becomes `target` at the end; what fails leaves nothing behind.

    Raises:
        BadInput: `target` exists.
        NoRoom: the disk has less than `weight_bytes` and a little to spare, or cannot be written.
    """
    refuse_existing(target)
    partial = target.parent / f".{target.name}.partial-{os.getpid()}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _refuse_without_space(target.parent, weight_bytes + SPARE_BYTES)
        partial.mkdir()
        yield partial
        for path in partial.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        replace_folder(partial, target)
    except OSError as error:
        raise NoRoom(f"{target}: cannot be written ({error.strerror or error}); choose another --out") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _refuse_without_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NoRoom(
            f"{folder}: {needed / 1024**3:.2f} GiB are needed and {free / 1024**3:.2f} GiB are free; "
            "make room, or choose another disk with --out"
        )


def export_adapter(target: ModelRef, policy: "NativePolicy", out: Path) -> LogitDifference:
    """Copy it to `out`, and say how far base and copy, as peft reads and computes them, are from the run."""
    from tina_lite.policy.merge import load_with_peft, next_logits

    assert target.adapter is not None, "a model without adapter has none to copy"
    files = [path for path in target.adapter.iterdir() if path.is_file() and not path.name.startswith(".")]
    expected = reference(policy)
    with new_folder(out, sum(path.stat().st_size for path in files)) as folder:
        for path in files:
            shutil.copyfile(path, folder / path.name)
    model = load_with_peft(target.model, policy.dtype, policy.device, out)
    return logit_difference(expected, lambda ids: next_logits(model, ids))


def _generation(policy: "NativePolicy", recipe: Recipe | None) -> dict[str, Any]:
    """Fields of generation_config.json: what ends a text, and how the run sampled."""
    stops = sorted(policy.stop_ids)
    fields: dict[str, Any] = {"eos_token_id": stops if len(stops) > 1 else stops[0]} if stops else {}
    if recipe is None:
        return fields
    rollout = recipe.rollout
    fields |= {"do_sample": True, "temperature": rollout.temperature, "top_p": rollout.top_p, "top_k": rollout.top_k}
    return fields | ({"stop_strings": list(rollout.stop)} if rollout.stop else {})


def export_merged(target: ModelRef, policy: "NativePolicy", out: Path) -> LogitDifference:
    """Write the model, tokenizer and card to `out`, and say how far the model that is read back is from the run.

    The weights are those that the run's own sampler uses: see policy/merge.py for what is merged into what.
    Raises BadInput where `out` exists, NoRoom where the disk does not hold it.
    """
    from tina_lite.policy.merge import load_plain, merged_weights, next_logits, save_merged

    assert target.adapter is not None, "a model without adapter has nothing to merge"
    weights = merged_weights(policy.causal_lm)
    expected = reference(policy)
    with new_folder(out, sum(weight.elements for weight in weights) * policy.dtype.itemsize) as folder:
        save_merged(policy.causal_lm, weights, policy.dtype, folder, _generation(policy, target.recipe))
        add_older_names(folder)
        save_tokenizer(policy.tokenizer, folder)
        dtype = str(policy.dtype).removeprefix("torch.")
        card = merged_card(target.name, target.model_id, dtype, target.adapter, target.recipe)
        (folder / "README.md").write_text(card, encoding="utf-8")
    model = load_plain(out, policy.dtype, policy.device)
    return logit_difference(expected, lambda ids: next_logits(model, ids))


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
    from tina_lite.policy.load import CONFIG, read_config

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
