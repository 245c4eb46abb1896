"""The end of a run: model card, summary and report, at the bill of the last moment."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tina_lite.launch.check import Checked
from tina_lite.launch.resume import UNFINISHED
from tina_lite.runs.events import LogLine, RunFinished
from tina_lite.runs.session import Session
from tina_lite.runs.summary import how_it_was_asked, model_card, per_dollar, summary_of
from tina_lite.util.disk import write_atomically
from tina_lite.util.errors import BadInput
from tina_lite.util.wall_clock import OutOfTime, wall_clock_limit

if TYPE_CHECKING:
    from tina_lite.train.trainer import Trainer

LAST_S = 1.0
"""Seconds that are never given away: the last line of the ledger may have to wait for the disk."""
REPORT_S = 10.0
"""Seconds that must be left for the report of a short run; it takes one on a machine with nothing else to do."""
LOGS_A_S = 30e6
"""Bytes of a run's logs that are read and drawn in a second: a third of what two cores did (100,000 steps in 6 s)."""


def spare_s(session: Session) -> float:
    """Seconds for which the run can still pay."""
    return session.deadlines.left().seconds - LAST_S


def close(p: Checked, trainer: "Trainer") -> dict[str, Any]:
    """The summary; card and summary.json are written, the last event is told."""
    session, recipe = trainer.session, p.recipe
    summary, _ = _write_summary(p, trainer)
    _write_report(summary, session)
    summary, kept = _write_summary(p, trainer)  # the report is on the bill
    if session.folder.adapter.exists():
        card = model_card(
            kept,
            base=trainer.learner.policy.base_name,
            data=recipe.data.named,
            quantization=recipe.model.quantization,
            rewards=[f"{section.weight:g} x {section.name}" for section in recipe.rewards],
            device=p.device_name,
            asked=how_it_was_asked(recipe),
        )
        write_atomically(session.folder.adapter / "README.md", card)  # its price is the summary's, to the last digit
    session.events.emit(RunFinished(summary))
    return summary


def _write_summary(p: Checked, trainer: "Trainer") -> tuple[dict[str, Any], Mapping[str, Any]]:
    """This session's summary as of now, and the one that the folder keeps as summary.json."""
    folder = trainer.session.folder
    summary = summary_of(p.recipe, p.rate, trainer.session, trainer.summary(), trainer.stop_reason)
    summary["per_dollar"] = per_dollar(summary)
    earlier = folder.summary()
    kept = earlier if earlier is not None and _says_more(earlier, summary) else summary
    folder.write_summary(kept)
    return summary, kept


def _write_report(summary: Mapping[str, Any], session: Session) -> None:
    """The run's page, where its packages are there and money is left; nothing about it may spoil the end of a run."""
    path, events, left_s = session.folder.path, session.events, spare_s(session)
    later = f"tina-lite report {path} writes it at any time"
    if left_s < REPORT_S + sum(log.stat().st_size for log in path.glob("*.jsonl")) / LOGS_A_S:
        events.emit(LogLine("info", f"no report.html, as the budget is used up; {later}"))
        return
    from tina_lite.report import html_page, read_run, refuse_missing

    try:
        refuse_missing()
        with wall_clock_limit(left_s):
            write_atomically(path / "report.html", html_page([read_run(path, summary)]))
    except BadInput as error:
        events.emit(LogLine("info", f"no report.html ({error}); {later}"))
    except OutOfTime:
        events.emit(LogLine("info", f"no report.html: there was no time left for it; {later}"))
    except Exception as error:
        session.warn(f"no report.html ({type(error).__name__}: {error}); {later}")


def _says_more(earlier: Mapping[str, Any], summary: Mapping[str, Any]) -> bool:
    """Whether the summary of an earlier session says more: a session that came no further may not replace it."""
    if earlier.get("steps") != summary["steps"]:
        return False
    ended, ends = (one.get("stop_reason") not in UNFINISHED for one in (earlier, summary))
    measured, measures = ((one.get("eval") or {}).get("after") is not None for one in (earlier, summary))
    return (ended and not ends) or (measured and not measures)
