"""Unsloth's import: what has to be set before it, and what it prints kept off stdout."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

from tina_lite.disk import user_folder
from tina_lite.errors import BadInput, one_line


def import_unsloth(*, offline: bool) -> None:
    """Import it, before transformers. BadInput where it cannot be imported.

    `offline` keeps the hub's libraries from asking the hub, which Unsloth does even of a model in a folder.
    """
    os.environ["UNSLOTH_DISABLE_STATISTICS"] = "1"
    os.environ.setdefault("UNSLOTH_COMPILE_LOCATION", str(compile_folder()))
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it says what it did not find, and nobody can mend it
    if offline:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        with quiet():
            import unsloth  # noqa: F401
    except Exception as error:  # a kernel that does not load, a library that it patches and does not know
        raise BadInput(
            f"model.engine: Unsloth cannot be imported ({type(error).__name__}: {one_line(error)}); "
            "set model.engine=portable"
        ) from error


def compile_folder() -> Path:
    """Where it keeps the code that it generates; by default it would be the folder that the run starts in."""
    return user_folder("XDG_CACHE_HOME", "~/.cache") / "unsloth"


@contextmanager
def quiet() -> Iterator[None]:
    """Its banners would break `--json`, whose stdout is one event a line."""
    with redirect_stdout(StringIO()):
        yield
