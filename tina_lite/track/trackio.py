"""Trackio: a database on this machine, for `trackio show`. TRACKIO_PROJECT, _DIR and _SPACE_ID are obeyed."""

import os
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any

from tina_lite.track.listening import Beginning

PROJECT = "tina-lite"


class _Run:
    def __init__(self, beginning: Beginning) -> None:
        import trackio

        with redirect_stdout(sys.stderr):  # stdout carries results
            self._run: Any = trackio.init(
                project=os.environ.get("TRACKIO_PROJECT", PROJECT),
                name=beginning.name,
                space_id=os.environ.get("TRACKIO_SPACE_ID"),
                config=dict(beginning.config),
                resume="allow",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        self._run.log(dict(scalars), step=step)

    def close(self) -> None:
        with redirect_stdout(sys.stderr):
            self._run.finish()


start = _Run
