"""What any room may use: records, errors, the disk, devices. Nothing here knows of a run."""
