"""What a crash of the server left of its local workers' directories."""

import shutil
from pathlib import Path

import pytest

from hodei.providers.local import instance


def test_rests_that_somebody_else_removes_at_the_same_moment_are_removed_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = tmp_path / f"{instance._REMOVED}w-1"
    (rest / "jobs").mkdir(parents=True)
    (rest / "jobs" / "file").touch()
    rmtree, calls = shutil.rmtree, list[Path]()

    def beside_another(path: Path) -> None:
        calls.append(path)
        if len(calls) == 1:
            rmtree(path / "jobs")
            raise FileNotFoundError(path / "jobs" / "file")
        rmtree(path)

    monkeypatch.setattr(shutil, "rmtree", beside_another)
    instance.remove_rests(tmp_path)
    assert (list(tmp_path.iterdir()), calls) == ([], [rest, rest])
