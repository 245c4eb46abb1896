"""How much of main memory can still be had: within the machine, and within the container, whose limit kills."""

from collections.abc import Iterator
from pathlib import Path

UNKNOWN_BYTES = 2 * 1024**3
"""Half of a cautious 4 GiB, where the system does not say."""
LIMITS = {"memory.max": "memory.current", "memory.limit_in_bytes": "memory.usage_in_bytes"}
"""Files of a control group, of its second version and its first: what is allowed, and what is used of that."""
CACHE = ("inactive_file ", "total_inactive_file ")
"""In memory.stat: used for files, and given back where memory is short."""


def available_bytes(root: Path = Path("/")) -> int:
    """Main memory that this process can have without swapping or being killed. `root` is that of the file system."""
    return max(0, min([_on_the_machine(root), *_in_containers(root)]))


def _on_the_machine(root: Path) -> int:
    try:
        fields = dict(line.split(":", 1) for line in (root / "proc/meminfo").read_text(encoding="ascii").splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return UNKNOWN_BYTES


def _in_containers(root: Path) -> Iterator[int]:
    """What each control group around this process leaves; those without a limit leave more than any machine has."""
    for group in set(_groups(root)):  # the root's comes up more than once
        for limit, usage in LIMITS.items():
            try:
                allowed = int((group / limit).read_text())  # "max" is no number, and no limit
                used = int((group / usage).read_text())
            except (OSError, ValueError):
                continue
            yield allowed - used + _cached(group)


def _groups(root: Path) -> Iterator[Path]:
    """The process's own control group for memory, and all above it. In a container its own is often the root's."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    mounted = root / "sys/fs/cgroup"
    yield from (mounted, mounted / "memory")
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        inside = Path(path.lstrip("/"))
        for group in (inside, *inside.parents):
            yield (mounted / "memory" if controllers else mounted) / group


def _cached(group: Path) -> int:
    try:
        lines = (group / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return max((int(line.split()[1]) for line in lines if line.startswith(CACHE)), default=0)
