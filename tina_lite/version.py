"""Of the package. It grows with every change of what a run folder holds or of which problems a run holds out."""

VERSION = "0.2.0"
