"""summary.json: what a run came to."""

import platform
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from tina_lite.budget import Rate, mean_rate
from tina_lite.recipe import Recipe
from tina_lite.records import EvalResult
from tina_lite.runs.gain import gained
from tina_lite.runs.session import Session
from tina_lite.version import VERSION

PACKAGES = ("torch", "transformers", "tokenizers", "peft", "bitsandbytes", "math-verify")
ENGINE = ("unsloth", "unsloth_zoo")
"""Where the run used it, not merely where it is installed."""


def summary_of(
    recipe: Recipe,
    rate: Rate,
    session: Session,
    evals: Mapping[str, Mapping[str, EvalResult]],
    stop_reason: str,
) -> dict[str, Any]:
    """The whole file, now; `evals` has results by benchmark under "before" and "after"."""
    folder, state, reading = session.folder, session.state, session.meter.read()
    return {
        "name": recipe.name,
        "stop_reason": stop_reason,
        "steps": state.step,
        "usd": reading.usd,
        "gpu_hours": reading.gpu_hours,
        "rate": round(mean_rate(reading.usd, reading.total_s), 9) if rate.power else reading.rate,
        "rate_source": rate.source,
        "usd_by_phase": dict(reading.usd_by_phase),
        "tokens": {
            "prompt": state.prompt_tokens,
            "completion": state.completion_tokens,
            "trained": state.trained_tokens,
        },
        "reward": {
            "first": state.reward_first,
            "last": state.reward_last,
            "best": state.reward_best,
            "best_step": state.best_step,
        },
        "reward_failures": state.reward_failures,
        "skipped_steps": state.skipped_steps,
        "warnings": folder.warnings(),
        "eval": {when: eval_fields(evals.get(when, {})) for when in ("before", "after")},
        "best_eval": _best(session),
        "adapter": str(folder.adapter) if folder.adapter.exists() else None,
        "version": VERSION,
        "packages": package_versions(),
        "seed": recipe.seed,
        "folder": str(folder.path),
        "session": session.meter.session,
    }


def _best(session: Session) -> dict[str, Any] | None:
    """The best evaluation of training on the first benchmark; None without one."""
    state, adapter = session.state, session.folder.best_adapter
    if not state.best_eval_step:
        return None
    return {
        "step": state.best_eval_step,
        "pass_at_1": round(state.best_pass_at_1, 5),
        "adapter": str(adapter) if adapter.exists() else None,
    }


def per_dollar(summary: Mapping[str, Any]) -> dict[str, float | None]:
    """What each dollar bought: Pass@1 in points, reward from the first step to the last, completion tokens.

    None where it was not measured, and throughout where the run cost nothing.

    >>> evals = {"before": {"pass_at_1": 0.3}, "after": {"pass_at_1": 0.75}}
    >>> per_dollar({"usd": 0.5, "eval": evals, "reward": {"first": 1.0, "last": 2.5}, "tokens": {"completion": 1000}})
    {'points': 90.0, 'reward': 3.0, 'tokens': 2000.0}
    """
    usd, evals, reward = summary["usd"], summary["eval"], summary["reward"]
    gain = gained(evals)
    gains: dict[str, float | None] = {
        "points": None if gain is None else 100 * gain,
        "reward": None if reward["last"] is None else reward["last"] - reward["first"],
        "tokens": summary["tokens"]["completion"],
    }
    return {name: None if gain is None or not usd else gain / usd for name, gain in gains.items()}


def package_versions() -> dict[str, str]:
    """Of what a result may depend on; what is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in (*PACKAGES, *(ENGINE if "unsloth" in sys.modules else ())):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def eval_fields(results: Mapping[str, EvalResult]) -> dict[str, Any] | None:
    """The first benchmark's figures at the top level, the others by name beside them."""
    if not results:
        return None
    first, *others = results.values()
    fields = _figures(first)
    if others:
        fields["others"] = {other.benchmark: _figures(other) for other in others}
    return fields


def _figures(result: EvalResult) -> dict[str, Any]:
    return {
        "benchmark": result.benchmark,
        "pass_at_1": round(result.pass_at_1, 5),
        "ci95": [round(bound, 5) for bound in result.ci95],
        "problems": result.problems,
        "samples": result.samples,
        "mean_length": round(result.mean_length, 2),
    }
