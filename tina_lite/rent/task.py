"""A recipe as a SkyPilot task: what is installed, mounted and run on the rented machine, and what may be spent."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, requires, version
from io import StringIO
from pathlib import Path
from shlex import quote
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from tina_lite.recipe import Recipe, to_yaml, with_local_paths
from tina_lite.recipe.load import at_other_places
from tina_lite.version import VERSION

JOB = "~/tina-lite-job"
SOURCE, VENV = f"{JOB}/source", "~/tina-lite-venv"
RUNS = "~/runs"
SHIPPED = ("tina_lite", "recipes", "docs", "pyproject.toml", "README.md", "LICENSE")
"""Of a checkout, what an installation is made from."""
BOOT_S = 300
"""From the first second that is billed to the first command of the set-up: an assumption, charged at every start."""
IDLE_MINUTES = 10
"""After the end a machine waits so long for its results to be fetched, or for a person, and then goes."""
DISK_GB = 100
EXTRAS = ("tasks", "report")


@dataclass(frozen=True, slots=True)
class Rental:
    """What is rented, and for how much."""

    gpu: str
    """As SkyPilot names it."""
    cloud: str | None
    """SkyPilot takes the cheapest where it is None."""
    spot: bool
    bucket: str | None
    """Where the run's folder is kept; without one it stays on the machine until it is fetched."""
    rate: float
    """US dollars an hour, at most."""
    max_usd: float
    """For all of it: booting, set-up, run, and the wait at its end."""

    @property
    def wait_s(self) -> int:
        """Billed after the end; a managed job of spot machines takes its machine down itself."""
        return 0 if self.spot else 60 * IDLE_MINUTES

    @property
    def beside_usd(self) -> float:
        """What booting once and the wait at the end are taken to cost."""
        return (BOOT_S + self.wait_s) / 3600 * self.rate


@dataclass(slots=True)
class Mounts:
    """What is copied to the machine: place there -> place here, or a bucket."""

    files: dict[str, Any] = field(default_factory=dict)

    def add(self, path: str) -> str:
        """Take a file or folder along; its place there under its own name, from the recipe's folder."""
        known = next((there for there, here in self.files.items() if here == path), None)
        there = known or f"{JOB}/files/{len(self.files)}/{Path(path).name}"
        self.files[there] = path
        return there.removeprefix(f"{JOB}/")


def task_of(recipe: Recipe, rental: Rental, folder: Path) -> dict[str, Any]:
    """The task, for a file that SkyPilot reads. Into `folder` goes what is mounted and is on no disk yet."""
    mounts = Mounts()
    there = at_other_places(with_local_paths(recipe), mounts.add)
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / "recipe.yaml"
    written.write_text(to_yaml(there), encoding="utf-8")
    mounts.files[f"{JOB}/recipe.yaml"] = str(written.absolute())
    source = checkout()
    if source:
        mounts.files |= {f"{SOURCE}/{name}": str(source / name) for name in SHIPPED}
    if rental.bucket:
        mounts.files[RUNS] = {"name": rental.bucket, "mode": "MOUNT_CACHED"}
    resources: dict[str, Any] = {
        "accelerators": f"{rental.gpu}:1",
        "use_spot": rental.spot,
        "max_hourly_cost": rental.rate,
        "disk_size": DISK_GB,
    }
    if rental.cloud:
        resources["infra"] = rental.cloud
    if rental.wait_s:
        resources["autostop"] = {"idle_minutes": IDLE_MINUTES, "down": True}
    return {
        "name": name_of(recipe),
        "resources": resources,
        "file_mounts": mounts.files,
        "setup": setup_of(recipe, from_source=source is not None),
        "run": run_of(recipe, rental),
    }


def name_of(recipe: Recipe) -> str:
    """For the machine: letters, digits and dashes."""
    name = re.sub(r"[^a-z0-9]+", "-", recipe.name.lower()).strip("-").removeprefix("tina-")
    return f"tina-{name[:40]}"


def checkout() -> Path | None:
    """Where tina-lite stands as a source tree; None where it was installed."""
    root = Path(__file__).parents[2]
    return root if (root / "pyproject.toml").exists() else None


def pins() -> list[str]:
    """The versions of what tina-lite needs, as they are installed here: NAME==VERSION."""
    found = {}
    for line in requires("tina-lite") or []:
        extra = re.search(r"extra\s*==\s*['\"](\w+)['\"]", line)
        name = re.split(r"[^\w.-]", line, maxsplit=1)[0]
        if extra is None or extra[1] in EXTRAS:
            try:
                found[name] = version(name).partition("+")[0]
            except PackageNotFoundError:
                continue  # an extra that is not here
    return [f"{name}=={number}" for name, number in sorted(found.items())]


def setup_of(recipe: Recipe, *, from_source: bool) -> str:
    """Install the same versions as here, and note when the machine began to cost."""
    extras = ",".join(EXTRAS)
    package = f'"{SOURCE}[{extras}]"'.replace("~", "$HOME") if from_source else f"tina-lite[{extras}]=={VERSION}"
    install = f"uv pip install --quiet --python {VENV}"
    lines = [
        "set -e",
        "date +%s > ~/.tina-lite-began",
        'export PATH="$HOME/.local/bin:$PATH"',
        "command -v uv > /dev/null || python3 -m pip install --quiet --user uv",
        f"uv venv --quiet --clear --python 3.11 {VENV}",
        f"{install} {package} nvidia-ml-py {' '.join(pins())}",
    ]
    if recipe.model.engine == "unsloth":
        lines.append(f"{install} --no-deps unsloth unsloth_zoo")
    return "\n".join(lines) + "\n"


def run_of(recipe: Recipe, rental: Rental) -> str:
    """Run, or go on; what booting and set-up have cost, at every start so far, is off the cap."""
    folder = f"{RUNS}/{quote(recipe.name)}"
    usd_a_second = f"{rental.rate!r} / 3600"
    cap = f"BEGIN {{ left = {rental.max_usd!r} - {rental.wait_s} * {usd_a_second} }}"
    awk = f"{cap} {{ left -= $1 * {usd_a_second} }} END {{ print left }}"
    lines = [
        "set -e",
        f"mkdir -p {folder}.starts",
        "began=$(cat ~/.tina-lite-began)",
        f"start={folder}.starts/$began",
        f"test -e $start || echo $(($(date +%s) - began + {BOOT_S})) > $start",
        f"left=$(cat {folder}.starts/* | awk '{awk}')",
        f"cd {JOB}",
        f"{VENV}/bin/tina-lite run recipe.yaml --plain --resume auto --force-recipe --out {folder} "
        f"--rate {rental.rate!r} --max-usd $left",
    ]
    return "\n".join(lines) + "\n"


def text_of(task: Mapping[str, Any]) -> str:
    """The task's file."""
    yaml, out = YAML(), StringIO()
    yaml.default_flow_style = False
    yaml.width = 4096  # a command stays on its line
    scripts = {name: LiteralScalarString(task[name]) for name in ("setup", "run")}
    yaml.dump({**task, **scripts}, out)
    return out.getvalue()
