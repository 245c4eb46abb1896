import pytest

from tina_lite.runs.folder import free_folder, newest_folder
from tina_lite.util.errors import BadInput


def test_the_newest_run_of_a_name_is_found_and_no_other_recipe_s(tmp_path):
    for name in ("quick", "quick-2", "quick-cpu"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ledger.jsonl").touch()
    assert free_folder(tmp_path, "quick").name == "quick-3"
    assert newest_folder(tmp_path, "quick").name in ("quick", "quick-2")
    (tmp_path / "quick-2" / "ledger.jsonl").unlink()
    assert newest_folder(tmp_path, "quick").name == "quick"
    with pytest.raises(BadInput, match="--out"):
        newest_folder(tmp_path, "slow")
