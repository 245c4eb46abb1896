"""A run in sentences and small tables, for the page and for Markdown alike. Any part of a run may be missing."""

from collections.abc import Mapping, Sequence

from tina_lite.budget.money import format_price, format_saving, format_usd
from tina_lite.console.text import format_duration, format_number
from tina_lite.report.figures import Table
from tina_lite.report.read import MeasuredEval, Run
from tina_lite.runs.events import Evaluated

Ends = tuple[MeasuredEval, MeasuredEval]


def labels(runs: Sequence[Run]) -> list[str]:
    """A name for each run: the recipe's, the folder's where that is no help, numbered where even those are the same."""
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        names = [run.folder.resolve().name for run in runs]
    return [name if names.count(name) == 1 else f"{name} ({place})" for place, name in enumerate(names, start=1)]


def outcome(run: Run) -> str:
    """What was gained, for which price, in one sentence."""
    time = f" in {format_duration(3600 * run.hours)}" if run.hours else ""
    where = f" on {run.started.device}" if run.started else ""
    so_far = {
        "unfinished": ", so far: the run has not ended, or was killed",
        "interrupted": ", until it was interrupted",
    }
    made = f"{run.steps or 'no'} step{'' if run.steps == 1 else 's'}{time}{where}{so_far.get(run.state, '')}"
    return f"{_gain(run)}, for {format_usd(run.usd)}: {made}."


def _gain(run: Run) -> str:
    ends = first_and_last(run)
    if ends is not None:
        before, after = (m.result for m in ends)
        points = 100 * (after.pass_at_1 - before.pass_at_1)
        # gaps between the intervals are more than chance; where they overlap it may be chance
        apart = before.ci95[1] < after.ci95[0] or after.ci95[1] < before.ci95[0]
        verb = "rose" if points > 0 else "fell" if points < 0 else "stayed,"
        name = "Held-out" if before.benchmark == "held_out" else before.benchmark
        gain = f"{name} Pass@1 {verb} from {percent(before)} to {percent(after)}, {points:+.1f} points"
        return gain if apart else f"{gain} (the intervals overlap: it may be chance)"
    rewards = run.series("reward")
    if len(rewards) > 1:
        ends_at = f"from {format_number(rewards[0][1])} to {format_number(rewards[-1][1])}"
        return f"The mean reward went {ends_at}, with no evaluation to judge by"
    return "Nothing was learnt that was measured"


def first_and_last(run: Run) -> Ends | None:
    """Find the first benchmark's results before and after training, or the latest on the way, on as many problems."""
    if not run.evals:
        return None
    first = run.evals[0].result
    same = [m for m in run.evals if (m.result.benchmark, m.result.problems) == (first.benchmark, first.problems)]
    return (same[0], same[-1]) if len(same) > 1 else None


def percent(result: Evaluated) -> str:
    """Write an evaluation's Pass@1 in percent with its interval.

    >>> percent(Evaluated("before", 0, "held_out", 0.301, (0.265, 0.338), 200, 4, 18.0))
    '30.1% [26.5, 33.8]'
    """
    share, (low, high) = result.pass_at_1, result.ci95
    return f"{share:.1%} [{100 * low:.1f}, {100 * high:.1f}]"


def facts(run: Run) -> list[tuple[str, str]]:
    """What a glance should find: short labels with short values."""
    found = []
    ends = first_and_last(run)
    if ends is not None:
        before, after = (m.result for m in ends)
        found.append((f"{before.benchmark} Pass@1", f"{before.pass_at_1:.1%} → {after.pass_at_1:.1%}"))
    cap = f" of {format_price(run.started.max_usd)}" if run.started and run.started.max_usd is not None else ""
    found.append(("bill", format_usd(run.usd) + cap))
    if run.hours:
        found.append(("time", format_duration(3600 * run.hours)))
    found.append(("steps", f"{run.steps:,}"))
    rewards = run.series("reward")
    if len(rewards) > 1:
        found.append(("reward", f"{format_number(rewards[0][1])} → {format_number(rewards[-1][1])}"))
    found.append(("ended by", str(run.summary.get("stop_reason", "not ended")).replace("_", " ")))
    return found


def bought(run: Run) -> list[tuple[str, str]]:
    """What a dollar bought, as the run reckoned it at its end."""
    rates = run.summary.get("per_dollar") or {}
    names = {
        "points": "points of Pass@1 per dollar",
        "reward": "reward gained per dollar",
        "tokens": "completion tokens per dollar",
    }
    found = [(text, _rate(rates[name])) for name, text in names.items() if isinstance(rates.get(name), int | float)]
    return [*found, *_turned(run)]


def _rate(value: float) -> str:
    """Write a rate with three digits or more.

    >>> _rate(1_234_567.8), _rate(0.01234)
    ('1,234,567', '0.0123')
    """
    return f"{int(value):,}" if abs(value) >= 100 else f"{value:.3g}"


def _turned(run: Run) -> list[tuple[str, str]]:
    """What stopping at the turning point saved, or what going on cost."""
    turning = run.summary.get("turning_point")
    if not isinstance(turning, Mapping):
        return []
    if run.summary.get("stop_reason") == "turning_point":
        planned = turning.get("usd_planned")
        saved = planned - run.usd if isinstance(planned, int | float) else 0.0
        return [("saved by stopping at the turning point", format_saving(saved))] if saved > 0 else []
    seen = turning.get("seen_usd")
    spent = run.usd - seen if isinstance(seen, int | float) else 0.0
    return [("spent after the turning point was seen", format_usd(spent))] if spent > 0 else []


def comparison(labelled: Sequence[tuple[str, Run]]) -> Table:
    """Several runs side by side, a row each."""
    rows = []
    for label, run in labelled:
        ends = first_and_last(run)
        results = [percent(m.result) for m in ends] if ends else ["-", "-"]
        rate = f"{format_price(run.started.rate)}/h" if run.started else "-"
        last = run.series("reward")
        reward = format_number(last[-1][1]) if last else "-"
        rows.append(
            (label, *results, reward, f"{run.steps:,}", format_duration(3600 * run.hours), rate, format_usd(run.usd))
        )
    heads = ("run", "Pass@1 before [95%]", "after", "last reward", "steps", "time", "rate", "bill")
    return Table(heads, tuple(rows))


def versions(run: Run) -> list[tuple[str, str]]:
    """What the run was made of."""
    found = [("tina-lite", str(run.summary.get("version") or (run.started.version if run.started else "unknown")))]
    packages = run.summary.get("packages")
    found += [(str(name), str(value)) for name, value in (packages or {}).items()]
    if run.started is not None:
        found += [
            ("model", run.started.model),
            ("engine", run.started.engine),
            ("device", run.started.device),
            ("seed", str(run.started.seed)),
            ("rate", f"{format_price(run.started.rate)}/h ({run.started.rate_source})"),
        ]
    return [*found, ("sessions", str(run.sessions))]


def repeat(run: Run) -> str:
    """The commands that make the run again."""
    version = run.summary.get("version") or (run.started.version if run.started else None)
    pinned = f"=={version}" if version else ""
    rate = f" --rate {run.started.rate!r}" if run.started and run.started.rate_source == "--rate" else ""
    return f"pip install tina-lite{pinned}\ntina-lite run recipe.yaml{rate}"
