"""Weights & Biases. Its environment variables are obeyed: WANDB_MODE, WANDB_PROJECT, WANDB_ENTITY, WANDB_API_KEY.

Without credentials or a network the run is kept in RUN/wandb, as `WANDB_MODE=offline` would keep it; `wandb sync` sends
it later.
"""

import hashlib
import os
from collections.abc import Mapping
from typing import Any

from tina_lite.track.listening import Beginning

PROJECT = "tina-lite"
REACH_S = 5.0
FINISH_S = 10.0
"""A network that is gone must not keep a paid machine up for longer; what was not sent stays in RUN/wandb."""


class _Run:
    def __init__(self, beginning: Beginning) -> None:
        import wandb

        offline = "WANDB_MODE" not in os.environ and not (_is_reachable() and _has_credentials(wandb))
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=beginning.name,
            id=_run_id(beginning),
            resume="allow",
            dir=str(beginning.folder),
            config=dict(beginning.config),
            mode="offline" if offline else None,
            settings=wandb.Settings(console="off", silent=True, finish_timeout=0 if offline else FINISH_S),
        )

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        self._run.log(dict(scalars), step=step)

    def close(self) -> None:
        self._run.finish()


def _has_credentials(wandb: Any) -> bool:
    """Without asking for them: a question would wait for an answer below the live view."""
    return bool(wandb.login(prompt=False))


def _is_reachable() -> bool:
    """What is sent to nobody is kept nowhere."""
    import httpx

    try:
        httpx.get(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai"), timeout=REACH_S)
    except httpx.TransportError:
        return False
    return True


def _run_id(beginning: Beginning) -> str:
    """One for all sessions of a run: from its ledger's first line, which bears the moment of its start."""
    with (beginning.folder / "ledger.jsonl").open("rb") as ledger:
        return hashlib.sha256(ledger.readline()).hexdigest()[:12]


start = _Run
