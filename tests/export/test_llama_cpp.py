"""What is exported to GGUF says in llama.cpp what the run's own chat says. Two models of seconds, so it is slow."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("xllamacpp")
pytestmark = pytest.mark.slow
SMOLLM2 = Path(os.environ.get("TINA_LITE_TEST_MODEL") or Path.home() / ".cache" / "tina-lite" / "smollm2-135m-instruct")
QUESTIONS = [f"{a}+{b}" for a, b in ((17, 25), (3, 4), (90, 9), (12, 12), (5, 70), (31, 8))] + [
    f"Leo has {a} beads. Leo buys {b}. How many beads now?"
    for a, b in ((17, 25), (3, 4), (90, 9), (12, 12), (5, 70), (8, 1))
]
TOKENS = 48
SERVER = """
import json, sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.cpuparams.n_threads = sys.argv[1], 512, 1
server = xllamacpp.Server(params)
for question in json.load(sys.stdin):
    asked = {"messages": [{"role": "user", "content": question}], "max_tokens": int(sys.argv[2]), "temperature": 0}
    found = server.handle_chat_completions(asked)
    print(json.dumps((json.loads(found) if isinstance(found, str) else found)["choices"][0]["message"]["content"]))
"""


def ran(*command: str, given: str = "") -> str:
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True, timeout=300).stdout


@pytest.mark.parametrize(
    "model",
    [
        "builtin:tiny",
        pytest.param(str(SMOLLM2), marks=pytest.mark.skipif(not SMOLLM2.is_dir(), reason=f"needs {SMOLLM2}")),
    ],
)
def test_llama_cpp_says_what_the_chat_says(make_run, tmp_path, model):
    run, _ = make_run(model)
    tina = [sys.executable, "-m", "tina_lite.cli.main"]
    ran(*tina, "export", str(run), "--to", "gguf", "--type", "f16", "--out", str(tmp_path / "gguf"))
    lines = ran(
        sys.executable,
        "-c",
        SERVER,
        str(tmp_path / "gguf" / "quick-f16.gguf"),
        str(TOKENS),
        given=json.dumps(QUESTIONS),
    )
    theirs = [json.loads(line) for line in lines.splitlines() if line.startswith('"')]
    said = ran(
        *tina,
        "chat",
        str(run),
        "--temperature",
        "0",
        "--forget",
        "--max-completion-length",
        str(TOKENS),
        given="\n".join(QUESTIONS) + "\n",
    )
    assert len(theirs) == len(QUESTIONS)
    assert all(text.strip() for text in theirs)
    assert " ".join(said.split()) == " ".join(" ".join(theirs).split()), "all answers, in order, and nothing else"
