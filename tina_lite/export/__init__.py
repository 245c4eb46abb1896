"""What a run learnt in the formats of other programs: one file a format. `tina-lite export` calls it."""
