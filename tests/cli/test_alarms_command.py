"""The list of alarms."""

from click.testing import CliRunner

from tina_lite.cli.alarms import alarms
from tina_lite.runs.health import RULES


def test_every_alarm_is_listed_with_its_threshold() -> None:
    said = CliRunner().invoke(alarms, catch_exceptions=False).stdout
    listed = {words[0]: words[1] for line in said.splitlines() if len(words := line.split()) > 2 and words[0] in RULES}
    assert listed == {name: f"{rule.threshold:g}" for name, rule in RULES.items()}
    assert "tina-lite docs troubleshooting" in said
