"""Logs are bytes: whatever a kill or a text leaves in them, a resume reads them and keeps what is whole."""

import json

import pytest

from tina_lite.util.disk import JsonLines, cut_back

ODD = ["plain", "line\u2028separator", "next\x85line", "para\u2029graph", "half \ud83d", "é", "\x0b\x0c\x1c"]


def log_of(path, texts) -> list[int]:
    """Sizes of the log after each row."""
    log, sizes = JsonLines(path), []
    for step, text in enumerate(texts, start=1):
        log.append({"step": step, "text": text})
        sizes.append(log.size())
    log.close()
    return sizes


def steps(path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_bytes().split(b"\n")[:-1]]


@pytest.mark.parametrize("kept", range(len(ODD) + 1))
def test_no_row_is_lost_to_a_character_that_python_calls_a_line_end(tmp_path, kept):
    path = tmp_path / "samples.jsonl"
    sizes = [0, *log_of(path, ODD)]
    cut_back(path, sizes[kept])
    assert steps(path) == list(range(1, kept + 1))


def test_a_row_torn_at_any_byte_is_cut_off(tmp_path):
    path = tmp_path / "samples.jsonl"
    first, _ = log_of(path, ["é", "ü"])
    whole = path.read_bytes()
    for size in range(first, len(whole)):
        path.write_bytes(whole[:size])
        cut_back(path, len(whole))
        assert path.read_bytes() == whole[:first]
