"""The report of a run, or of several side by side, as one HTML file or as Markdown.

reading.py   a run folder as a frozen record; money.py its bill over time, samples.py its completions
curves.py    moving means with intervals
figures.py   plotly figures as plain values
words.py     the same in sentences; paper.py: beside the paper's table
page.py      the HTML file, by page.html.j2; markdown.py the text for a model card
"""

from tina_lite.report.markdown import markdown_text
from tina_lite.report.page import html_page, refuse_missing
from tina_lite.report.reading import Run, read_run

__all__ = ["Run", "html_page", "markdown_text", "read_run", "refuse_missing"]
