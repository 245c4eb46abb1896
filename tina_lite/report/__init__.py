"""The report of a run, or of several side by side, as one HTML file or as Markdown.

read.py     a run folder as a frozen record: its bill over time, its completions
curves.py   moving means with intervals
figures.py  plotly figures as plain values
words.py    the same in sentences
page.py     the HTML file, by the templates beside it, and the text for a model card
"""

from tina_lite.report.page import html_page, markdown_text, refuse_missing
from tina_lite.report.read import Run, read_run

__all__ = ["Run", "html_page", "markdown_text", "read_run", "refuse_missing"]
