import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from tina_lite.runs.events import Progress, Stamped

SCRIPT = Path(__file__).parents[2] / "bench" / "screenshot.py"


def test_a_recorded_run_becomes_a_picture_without_the_network(
    story: Callable[..., list[Stamped]], tmp_path: Path
) -> None:
    lines = [json.dumps(stamped.to_json()) for stamped in story() if not isinstance(stamped.event, Progress)]
    (tmp_path / "events.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    out = tmp_path / "console.svg"
    subprocess.run([sys.executable, SCRIPT, tmp_path, out, "--at", "0.6"], check=True, cwd=SCRIPT.parents[1])
    svg = out.read_text(encoding="utf-8")
    text = "".join(ElementTree.fromstring(svg).itertext()).replace("\xa0", " ")
    assert "step 13 of 20" in text
    assert "url(http" not in svg.replace('"', "")
