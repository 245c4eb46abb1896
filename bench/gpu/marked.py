"""The tests marked gpu: how many passed. A rehearsal collects them only."""

import json
import re
import subprocess
import sys
from pathlib import Path

command = [sys.executable, "-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", "tests/card"]
command += ["--collect-only"] if "--rehearse" in sys.argv else []
done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
counts = {
    what: int(number)
    for number, what in re.findall(r"(\d+) (passed|failed|skipped|error|tests collected)", done.stdout)
}
print(json.dumps({"tests": "gpu", **counts, "exit_code": done.returncode}))
if done.returncode not in (0, 5):  # 5: none was collected
    sys.exit(done.stdout[-600:])
