"""The checks of the repository find what they are there for, and pass what is fine."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pytest
import typer
import typer.main

import check_docs
import check_files
import lock
import render_docs
import run_levels

REGISTRY_HOST = ".".join(["files", "pythonhosted", "org"])  # the check reads this file too


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("src/x.py", f"URL = 'https://{REGISTRY_HOST}/x.whl'"),
        ("README.md", "see /" + "home/somebody/project/x"),
        ("bench/x.py", "ROOT = '/" + "root/project'"),
        ("requirements/dev.txt", "--index-url http://mirror/simple"),
        ("requirements/dev.txt", "x @ file:///tmp/x.whl"),
        ("requirements/dev.txt", "--find-links wheels"),
        ("uv.lock", ""),
    ],
)
def test_a_file_that_belongs_to_one_machine_is_found(path: str, text: str) -> None:
    assert check_files.findings(path, text)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("requirements/dev.txt", "anyio==4.16.0 \\\n    --hash=sha256:59bb\n"),
        ("src/x.py", "framework = Path('a/work/b'); url = 'https://example.org/docs'"),
        ("README.md", "`${HOME}/root/x` and /usr/lib/x"),
    ],
)
def test_an_ordinary_file_passes(path: str, text: str) -> None:
    assert check_files.findings(path, text) == []


def test_a_finding_names_its_line() -> None:
    (found,) = check_files.findings("a.py", f"\n\n# {REGISTRY_HOST}\n")
    assert found.startswith("a.py:3: ")


def test_links_to_missing_files_and_headings_are_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One `two` three!\n")
    page = tmp_path / "page.md"
    text = (
        "[a](other.md) [b](other.md#one-two-three) [c](https://example.org) [d](#here)\n"
        "[e](missing.md) [f](other.md#four)\n# Here\n```\n[g](in-a-block.md)\n```\n"
    )
    page.write_text(text)
    assert list(check_docs.broken_links(page, text)) == [
        "missing.md: no such file",
        "other.md#four: no such heading",
    ]


def program() -> check_docs.Command:
    """Stands for the command line."""
    app, jobs = typer.Typer(), typer.Typer()

    @app.command(context_settings={"allow_interspersed_args": False})
    def run(words: list[str], name: str = "", *, detach: bool = False) -> None:
        """Takes a command line of its own."""

    @jobs.command()
    def show(job: str, output: Annotated[str, typer.Option("--output", "-o")] = "") -> None:
        """Takes an argument."""

    @jobs.command()
    def drop(job: str) -> None:
        """Makes it a group of two."""

    app.add_typer(jobs, name="jobs")
    return typer.main.get_command(app)


@pytest.mark.parametrize(
    "line",
    [
        "hodei run --name x -- echo --whatever",
        "hodei run --detach echo --whatever",
        "hodei jobs show ID -o json",
        "hodei jobs show ID --output=json | head",
        "A=1 hodei run -- true",
        "hodei --help",
        "make test LEVELS=unit",
        "ls --no-such-option",
    ],
)
def test_a_command_line_that_works_passes(line: str) -> None:
    assert check_docs.wrong_command(line, {"test"}, program()) is None


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("hodei walk", "hodei has no command walk"),
        ("hodei jobs hide ID", "hodei jobs has no command hide"),
        ("hodei run --nmae x -- true", "hodei run has no option --nmae"),
        ("hodei jobs show ID --format json", "hodei jobs show has no option --format"),
        ("make tests", "no such make target: tests"),
    ],
)
def test_a_command_line_that_was_renamed_is_found(line: str, problem: str) -> None:
    assert check_docs.wrong_command(line, {"test"}, program()) == problem


def test_command_lines_are_read_from_blocks_and_from_running_text() -> None:
    text = "Type `hodei jobs list`:\n```console\n$ .venv/bin/hodei run \\\n  -- true\noutput\n```\n"
    assert list(check_docs.command_lines(text)) == [
        "hodei run    -- true",
        "output",
        "hodei jobs list",
    ]


@pytest.mark.parametrize(
    ("pinned", "fits"), [("Some_Name==2.1", True), ("some-name==1.9", False), ("other==2.1", False)]
)
def test_a_lock_that_does_not_fit_is_found(pinned: str, fits: bool) -> None:  # noqa: FBT001
    found = list(lock.misfits(lock.ALL[0], ["some-name>=2"], f"{pinned} \\\n    --hash=x\n"))
    assert (found == []) is fits


def test_every_rendered_part_is_asked_for_by_a_page() -> None:
    pages = "".join(page.read_text() for page in render_docs.DOCS.rglob("*.md"))
    asked = {slot.group("part") for slot in render_docs.SLOT.finditer(pages)}
    assert asked == set(render_docs.PARTS)


def test_the_index_lists_every_page_for_users() -> None:
    index = (render_docs.DOCS / "index.md").read_text()
    folders = ("tutorial", "how-to", "reference", "explanation")
    pages = [
        f"{folder}/{page.name}"
        for folder in folders
        for page in (render_docs.DOCS / folder).glob("*.md")
    ]
    assert [page for page in pages if f"({page})" not in index] == []


@pytest.mark.parametrize("part", render_docs.PARTS.values(), ids=render_docs.PARTS)
def test_a_rendered_part_has_no_empty_cell(part: Callable[[], str]) -> None:
    assert "|  |" not in part()


def test_the_counts_of_a_level_come_from_its_report(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite tests="9" failures="1" errors="2" skipped="3"/></testsuites>'
    )
    assert run_levels.counts(report) == (3, 3, 3)


def test_a_level_without_a_report_counts_nothing(tmp_path: Path) -> None:
    assert run_levels.counts(tmp_path / "none.xml") == (0, 0, 0)
