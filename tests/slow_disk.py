"""`tina-lite` on a disk that takes its time over every sync: python slow_disk.py run RECIPE ..."""

import os
import time

SYNC_S = 0.25
sync = os.fsync


def slow_sync(descriptor: int) -> None:
    time.sleep(SYNC_S)
    sync(descriptor)


if __name__ == "__main__":
    os.fsync = slow_sync
    from tina_lite.cli.main import main

    main()
