"""The end of a run in a few labelled lines: what it came to, what it cost, what was amiss."""

from collections.abc import Mapping
from math import floor
from typing import Any

from tina_lite.budget.money import format_price, format_usd
from tina_lite.console.state import ConsoleState
from tina_lite.console.text import format_duration, format_number, format_share, from_here, one_line
from tina_lite.runs.summary import gained

Facts = list[tuple[str, str]]


def closing_facts(state: ConsoleState) -> Facts:
    """Labels with values, in the order of interest; empty while the run has not finished."""
    summary = state.summary
    if summary is None:
        return []
    facts = [
        ("ended by", one_line(str(summary.get("stop_reason", "unknown")).replace("_", " "))),
        ("held-out Pass@1", held_out(summary.get("eval") or {})),
        ("best", best(summary.get("best_eval") or {})),
        ("reward", reward(summary.get("reward") or {})),
        ("steps", steps(summary)),
        ("dollars", dollars(summary, state.started.max_usd if state.started else None)),
        ("a dollar bought", bought(summary.get("per_dollar") or {})),
        ("spent on", phases(summary.get("usd_by_phase") or {})),
        ("tokens", tokens(summary.get("tokens") or {})),
        ("not spent", not_spent(summary.get("not_spent") or {})),
        ("amiss at the end", amiss(summary.get("alarms") or {})),
        ("folder", from_here(state.started.folder) if state.started else ""),
    ]
    return [(label, value) for label, value in facts if value]


def not_spent(found: Mapping[str, Mapping[str, float]]) -> str:
    """Name what fields of the recipe left out, and what it would have cost.

    >>> not_spent({"grpo.update_completions": {"tokens": 5400, "seconds": 61.0, "usd": 0.0034}})
    'about $0.0034 and 1 min 01 s by grpo.update_completions, 5,400 tokens'
    """
    return "; ".join(
        f"about {format_usd(one['usd'])} and {format_duration(one['seconds'])} by {field}, {one['tokens']:,} tokens"
        for field, one in found.items()
    )


def amiss(alarms: Mapping[str, str]) -> str:
    """Name the alarms that are not over.

    >>> amiss({"clipped": "95% of the completions are cut off before their answer"})
    'clipped: 95% of the completions are cut off before their answer'
    """
    return "; ".join(f"{one_line(name)}: {one_line(words)}" for name, words in alarms.items())


def held_out(evaluation: Mapping[str, Any]) -> str:
    """Say what held-out problems show before and after.

    >>> held_out({"before": {"pass_at_1": 0.18, "ci95": [0.15, 0.21]}, "after": {"pass_at_1": 0.85}})
    '18.0% [15.0, 21.0] -> 85.0%, +67.0 points'
    >>> held_out({"before": {"pass_at_1": 0.18, "problems": 200}, "after": {"pass_at_1": 0.85, "problems": 20}})
    '18.0% on 200 problems, 85.0% on 20: not to be compared'
    """
    before, after = (evaluation.get(when) or {} for when in ("before", "after"))
    measured = [_pass_at_1(result) for result in (before, after) if "pass_at_1" in result]
    gain = gained(evaluation)
    if gain is not None:
        return f"{measured[0]} -> {measured[1]}, {100 * gain:+.1f} points"
    if len(measured) == 2:
        counts = (before.get("problems", "some"), after.get("problems", "some"))
        return f"{measured[0]} on {counts[0]} problems, {measured[1]} on {counts[1]}: not to be compared"
    if not measured:
        return ""
    missing = "before; not measured after" if "pass_at_1" in before else "after; not measured before"
    return f"{measured[0]} {missing}"


def best(measured: Mapping[str, Any]) -> str:
    """Of the evaluations during training, where its adapter was kept.

    >>> best({"step": 40, "pass_at_1": 0.62, "adapter": "runs/mine/adapter-best"})
    '62.0% at step 40, in adapter-best'
    """
    if not measured.get("adapter"):
        return ""
    folder = one_line(str(measured["adapter"]).rpartition("/")[2])
    return f"{format_share(measured['pass_at_1'])} at step {measured['step']}, in {folder}"


def _pass_at_1(result: Mapping[str, Any]) -> str:
    return format_share(result["pass_at_1"]) + (interval(result["ci95"]) if result.get("ci95") else "")


def interval(ci95: tuple[float, float]) -> str:
    """Write an interval in percent.

    >>> interval((0.15, 0.2125))
    ' [15.0, 21.2]'
    """
    return f" [{100 * ci95[0]:.1f}, {100 * ci95[1]:.1f}]"


def reward(values: Mapping[str, Any]) -> str:
    """Write a run's first, last and best reward.

    >>> reward({"first": 0.9, "last": 2.613, "best": 2.7, "best_step": 37})
    '0.900 first, 2.61 last, 2.70 best (step 37)'
    """
    known = [name for name in ("first", "last", "best") if values.get(name) is not None]
    text = ", ".join(f"{format_number(values[name])} {name}" for name in known)
    return f"{text} (step {values['best_step']})" if "best" in known and "best_step" in values else text


def steps(summary: Mapping[str, Any]) -> str:
    """Write the steps of all sessions, with their time.

    >>> steps({"steps": 80, "gpu_hours": 0.05})
    '80 in 3 min 00 s'
    """
    if not {"steps", "gpu_hours"} <= summary.keys():
        return ""
    return f"{summary['steps']} in {format_duration(3600 * summary['gpu_hours'])}"


def dollars(summary: Mapping[str, Any], max_usd: float | None) -> str:
    """Write what a run has cost, beside its budget.

    >>> dollars({"usd": 0.00771, "rate": 0.2}, max_usd=0.01)
    '$0.0078 of $0.01 at $0.20/h'
    """
    if "usd" not in summary:
        return ""
    cap = f" of {format_price(max_usd)}" if max_usd is not None else ""
    rate = f" at {format_price(summary['rate'])}/h" if isinstance(summary.get("rate"), int | float) else ""
    return format_usd(summary["usd"]) + cap + rate


def bought(per_dollar: Mapping[str, float | None]) -> str:
    """The gain that was measured best, and tokens.

    >>> bought({"points": 12473.7, "reward": 281.5, "tokens": 41_600_000.0})
    '+12,473 points of Pass@1, 41,600,000 tokens sampled'
    >>> bought({"points": None, "reward": -0.0123, "tokens": 2000.0}), bought({"points": None, "reward": None})
    ('-0.0123 reward, 2,000 tokens sampled', '')
    """
    points, reward, tokens = (per_dollar.get(name) for name in ("points", "reward", "tokens"))
    if points is not None:
        gain = f"{_signed(points)} points of Pass@1"
    else:
        gain = "" if reward is None else f"{_signed(reward)} reward"
    return ", ".join(filter(None, (gain, f"{int(tokens):,} tokens sampled" if tokens else "")))


def _signed(value: float) -> str:
    """Whole numbers rounded down where they are large: what was bought is not overstated."""
    return f"{floor(value):+,}" if abs(value) >= 100 else f"{value:+.3g}"


def phases(usd_by_phase: Mapping[str, float]) -> str:
    """Write the dollars of a run by phase, the most first.

    >>> phases({"load": 0.0005, "rollout": 0.00312, "save": 0.0})
    'rollout $0.0032, load $0.0005'
    """
    spent = sorted(((usd, phase) for phase, usd in usd_by_phase.items() if usd > 0), reverse=True)
    return ", ".join(f"{phase} {format_usd(usd)}" for usd, phase in spent)


def tokens(counts: Mapping[str, int]) -> str:
    """Write the tokens of a run by what they were used for.

    >>> tokens({"prompt": 12000, "completion": 131072, "trained": 90000})
    '131,072 sampled, 90,000 trained on, 12,000 of prompts'
    """
    names = {"completion": "sampled", "trained": "trained on", "prompt": "of prompts"}
    return ", ".join(f"{counts[name]:,} {words}" for name, words in names.items() if name in counts)
