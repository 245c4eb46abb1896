"""Before a run is gone on with: is it the same run, and is there anything left to do?"""

from collections.abc import Collection, Sequence
from math import inf
from pathlib import Path
from typing import Any

from tina_lite.budget import Reading, format_price, format_usd, read_bills
from tina_lite.budget.ledger import SessionBill
from tina_lite.budget.limits import SAVE_RESERVE_S, Limits
from tina_lite.data.benchmarks import KNOWN, known_name
from tina_lite.data.files import is_local
from tina_lite.data.sources import HELD_OUT
from tina_lite.recipe import Recipe, load_recipe, with_local_paths
from tina_lite.recipe.load import renamed, without_places
from tina_lite.runs.folder import read_summary
from tina_lite.runs.identity import differences
from tina_lite.runs.look import found_again, refuse_gone
from tina_lite.util.errors import BadInput, NothingLeft
from tina_lite.util.hub import HUB_ID, Commits, repo_and_revision


def pinned(recipe: Recipe) -> Recipe:
    """Give a local recipe each name of the hub at the commit that it leads to now, as OWNER/NAME@COMMIT."""
    commits = Commits()

    def model(name: str) -> str:
        return commits.pinned(name, "model") if HUB_ID.fullmatch(name) else name

    def data(name: str) -> str:
        on_hub = HUB_ID.fullmatch(name) and name != "arithmetic" and not is_local(name, None)
        return commits.pinned(name, "dataset") if on_hub else name

    def benchmark(name: str) -> str:
        known, source = known_name(name)
        if known is None:
            return name if name == HELD_OUT else data(name)
        place = KNOWN[known].hub_id if source == known else source
        found = data(place)
        return name if found == place else f"{known}={found}"

    return renamed(recipe, model=model, data=data, reward=lambda name: name, benchmark=benchmark)


def pinned_as(recipe: Recipe, kept: Recipe) -> Recipe:
    """A recipe with the commits of the run that it is to go on with: a branch may have moved since."""
    pins: dict[str, str] = {}

    def learn(name: str) -> str:
        if repo_and_revision(name.rpartition("=")[2])[1]:
            pins[_bare(name)] = name
        return name

    def pin(name: str) -> str:
        return pins.get(_bare(name), name)

    renamed(kept, model=learn, data=learn, reward=lambda name: name, benchmark=learn)
    return renamed(recipe, model=pin, data=pin, reward=lambda name: name, benchmark=pin)


def _bare(name: str) -> str:
    """Take the commit off a name of the hub.

    >>> _bare("openai/gsm8k@main"), _bare("math500=HuggingFaceH4/MATH-500@main"), _bare("math500")
    ('openai/gsm8k', 'math500', 'math500')
    """
    known, equals, source = name.rpartition("=")
    repo, revision = repo_and_revision(source)
    return known if known and revision else f"{known}{equals}{repo}"


LIMITS = ("budget", "stop", "checkpoint", "track", "notify", "alarms", "callbacks")
"""Sections that change when a run ends and what is kept of it, and not a number that it computes before."""
MORE = "more: tina-lite docs resume"
UNFINISHED = ("interrupted", "stop_file", "until", "hopeless", "error", "no_room", "bad_input")
"""Reasons for which a run stops and that a resumed one leaves behind."""


def recipe_of(path: Path) -> Path:
    """The recipe of a run; BadInput where the folder holds no run."""
    kept = path / "recipe.yaml"
    if not kept.is_file():
        raise BadInput(f"{path}: holds no run to resume; start one without --resume")
    return kept


def same_run(path: Path, recipe: Recipe, *, force: bool, asked: Collection[str]) -> Recipe:
    """A local recipe with its files where they are now, and with what is on the hub as the run in `path` has it.

    BadInput that shows what differs: a resumed run is the same run. `force` lets its limits be others, and `asked`
    those that it names: a flag is no slip, as an edited file may be. BadInput too where a file is nowhere.
    """
    file = recipe_of(path)
    kept = with_local_paths(load_recipe(file))
    recipe = pinned_as(recipe, kept)
    changes = list(differences("", _compared(kept), _compared(recipe)))
    fixed = [change for field, change in changes if field.partition(".")[0] not in LIMITS]
    if fixed:
        raise BadInput(
            f"{path}: the recipe has changed: {'; '.join(fixed)}; resume with {file}, or choose another --out; {MORE}"
        )
    slips = [change for field, change in changes if field not in asked]
    if slips and not force:
        said = "; ".join(slips)
        raise BadInput(f"{path}: the recipe has changed: {said}; add --force-recipe to go on with other limits; {MORE}")
    recipe = found_again(recipe, path)
    refuse_gone(recipe)
    return recipe


def finished(path: Path, recipe: Recipe) -> dict[str, Any] | None:
    """The summary of a run that has ended for good, and that this recipe would not take further."""
    try:
        kept = with_local_paths(load_recipe(path / "recipe.yaml"))
        same = _compared(kept) == _compared(pinned_as(with_local_paths(recipe), kept))
        return _ended(path, read_bills(path / "ledger.jsonl")) if same else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _ended(path: Path, bills: Sequence[SessionBill]) -> dict[str, Any] | None:
    """The summary of a run whose last session ended it in order."""
    summary = read_summary(path)
    last = max((bill.session for bill in bills), default=0)
    session = summary.get("session", 1) if summary else 0  # versions that did not say are known by their first alone
    ended = summary and summary["stop_reason"] not in UNFINISHED and session >= last
    return summary if ended else None


def refuse_used_up(path: Path, limits: Limits, reading: Reading, bills: Sequence[SessionBill]) -> None:
    """NothingLeft where a limit leaves nothing to do.

    Of time or money: where the rest does not pay for loading and saving, by what earlier sessions took for it.
    """
    if spent := _counted_out(path, limits, reading, bills):
        raise NothingLeft(f"{path}: nothing is left to do: {spent}")
    left = limits.left(reading)
    loads = [bill.seconds_by_phase.get("load", 0.0) for bill in bills if _got_beyond_loading(bill)]
    needed_s = min(loads, default=0.0) + SAVE_RESERVE_S
    if left.seconds >= needed_s:
        return
    if left.limit == "max_usd":
        spent = (
            f"{format_usd(sum(bill.usd for bill in bills))} of max_usd {format_price(limits.max_usd or 0.0)} are spent"
        )
        more = "--max-usd "
    elif left.limit == "max_hours":
        spent, more = (
            f"{reading.billed_s / 3600:.2f} h of max_hours {limits.max_hours:g} are billed",
            "--max-hours ",
        )
    else:
        spent, more = "the time of stop.until has come", "--until "
    raise NothingLeft(
        f"{path}: nothing is left to do: {spent}, and going on would take {needed_s:.0f} s before its first step; "
        f"for more of it: {more}X"
    )


def _counted_out(path: Path, limits: Limits, reading: Reading, bills: Sequence[SessionBill]) -> str:
    """Which limit on steps or tokens a run that has ended has reached; empty where none."""
    try:
        summary = _ended(path, bills)
        if summary is None:
            return ""
        steps, tokens = summary["steps"], summary["tokens"]["prompt"] + summary["tokens"]["completion"]
        used = {"max_steps": steps, "max_tokens": tokens}
        limit = limits.left(reading, steps, tokens).reason_to_stop(-inf)
        if limit in used:
            more = f"--{limit.replace('_', '-')} N"
            return f"{used[limit]:,} of {limit} {getattr(limits, limit):,} are used; for more of it: {more}"
    except (KeyError, TypeError):
        pass  # of another version: what follows finds out
    return ""


def _got_beyond_loading(bill: SessionBill) -> bool:
    return any(seconds > 0 for phase, seconds in bill.seconds_by_phase.items() if phase not in ("load", "other"))


def _compared(recipe: Recipe) -> dict[str, Any]:
    """All but the engine, as either computes the same, and the places of files, of which the contents count."""
    return without_places(recipe).model_dump(mode="json", exclude={"model": {"engine"}})


def fixed_part(recipe: Recipe) -> dict[str, Any]:
    """What no session of a run may change."""
    return {name: section for name, section in _compared(recipe).items() if name not in LIMITS}
