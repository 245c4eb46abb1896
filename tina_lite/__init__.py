"""tina-lite: teach a small language model to reason on one GPU, for a price that you set.

>>> from tina_lite import load_recipe, reward, run
"""

from typing import TYPE_CHECKING, Any

from tina_lite.util.device import spin_briefly
from tina_lite.version import VERSION

__version__ = VERSION
__all__ = ["Recipe", "__version__", "load_recipe", "reward", "run"]

if TYPE_CHECKING:
    from tina_lite.launch import run
    from tina_lite.recipe import Recipe, load_recipe
    from tina_lite.rewards import reward

spin_briefly()  # here, as nothing of the package loads torch before

_HOMES = {"run": "launch", "Recipe": "recipe", "load_recipe": "recipe", "reward": "rewards"}


def __getattr__(name: str) -> Any:
    """Import on first use: `tina-lite --help` must not wait for what it does not need."""
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(f"tina_lite.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
