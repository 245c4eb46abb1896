"""How long an idle thread of torch's pool spins before it sleeps; read once, when torch is loaded."""

import os

SPINS = 3000
"""Rounds; each is a processor's pause, 10 to 140 cycles, so 10 to 200 microseconds: about what waking a thread costs.
OpenMP's own 300,000 hold the core for up to 20 ms, from which whoever else runs on it has to wait."""


def spin_briefly() -> None:
    """Set it for GNU's OpenMP, which torch brings on Linux; what the user has set stands."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
