"""What every judging program does: read a request a line, answer it in a line, end with its parent."""

import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

ADDRESS_SPACE_BYTES = 2 << 30
"""What grows without end ends in a MemoryError, not in the machine's last byte."""
ORPHAN_GRACE_S = 2.0


def serve(prepare: Callable[[], object], judged: Callable[[Mapping[str, Any]], object]) -> None:
    """Answer until the pipe ends; nothing but answers reaches it.

    In: `{"limit_s": 5.0, ...}`, one a line. Out: `"ready"` once `prepare` has imported what is heavy, then for each
    line what `judged` makes of it. No file is written by anything that an answer may set off.
    """
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    prepare()
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    print(json.dumps("ready"), file=replies)
    for line in sys.stdin:
        request = json.loads(line)
        # The kernel ends this process should its parent be gone and the work be lost: by processor time, as the parent
        # is patient with a worker that could not run.
        signal.setitimer(signal.ITIMER_PROF, request["limit_s"] + ORPHAN_GRACE_S)
        verdict = judged(request)
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(verdict), file=replies)
