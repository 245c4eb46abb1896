"""The factor that lifts the gradients of float16 into its range (Mixed Precision Training, arXiv 1710.03740).

Below 6e-8 float16 knows only 0, and a token's gradient in a step of thousands is smaller. The loss is multiplied by a
power of two, which rounds nothing, and the gradients are divided by it in float32. Too large a factor overflows: the
pass is then done again with half of it. Every GROWS_EVERY steps it doubles, as gradients may have become smaller.
"""

LARGEST = 2.0**16
GROWS_EVERY = 100


class LossScale:
    """`value` is a power of two; 1, and never another, in a dtype with float32's range."""

    def __init__(self, dtype_name: str, value: float | None = None) -> None:
        self._largest = LARGEST if dtype_name == "float16" else 1.0
        self.value = self._largest if value is None else min(value, self._largest)

    def lower(self) -> bool:
        """To half, after a gradient overflowed; whether there was anything left to lower."""
        if self.value <= 1.0:
            return False
        self.value /= 2
        return True

    def grow(self, step: int) -> None:
        """After a step whose gradients were finite; by its number, so that a resumed run does the same."""
        if step % GROWS_EVERY == 0:
            self.value = min(2 * self.value, self._largest)
