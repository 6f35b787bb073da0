"""Fails when a page points to what is not there: a file, a heading, a make target, a command.

Every line of a shell block that starts with `hodei` or `make` is looked up in the command line
interface and in the Makefile, so that a page cannot promise an option that was renamed.
"""

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from check_files import tracked_files
from hodei.cli.app import command as hodei_command

# typer has a click of its own, whose classes it keeps to itself.
Command = Any
Option = Any

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#{1,6}\s+(?P<text>.+?)\s*$", re.MULTILINE)
SHELL_BLOCK = re.compile(
    r"^```(?:console|bash|sh|shell)\n(?P<body>.*?)^```", re.DOTALL | re.MULTILINE
)
INLINE = re.compile(r"(?<!`)`(?P<line>(?:hodei|make) [^`\n]+)`(?!`)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The names by which GitHub and MyST know the headings of a page."""
    headings = (match.group("text") for match in HEADING.finditer(FENCE.sub("", text)))
    return {
        re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip().replace(" ", "-")
        for heading in headings
    }


def broken_links(page: Path, text: str) -> Iterator[str]:
    """The links to files and headings that do not exist."""
    for match in LINK.finditer(FENCE.sub("", text)):
        target = match.group("target")
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists():
            yield f"{target}: no such file"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text()):
            yield f"{target}: no such heading"


def command_lines(text: str) -> Iterator[str]:
    """Lines that a reader will type: in shell blocks, and in running text between backticks."""
    for block in SHELL_BLOCK.finditer(text):
        body = block.group("body").replace("\\\n", " ")
        for line in body.splitlines():
            yield line.strip().removeprefix("$ ").removeprefix(".venv/bin/")
    for match in INLINE.finditer(FENCE.sub("", text)):
        yield match.group("line")


def wrong_command(line: str, targets: set[str], root: Command) -> str | None:
    """What is wrong with a command line, or None."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        return str(error)
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words.pop(0)
    if not words or words[0] not in {"hodei", "make"} or "..." in words or "…" in words:
        return None
    if words[0] == "make":
        wanted = [word for word in words[1:] if "=" not in word and not word.startswith("-")]
        unknown = [word for word in wanted if word not in targets]
        return f"no such make target: {unknown[0]}" if unknown else None
    return wrong_hodei(words[1:], root)


def wrong_hodei(words: list[str], command: Command) -> str | None:
    """What is wrong with the words after `hodei`, or None."""
    path = "hodei"
    while words:
        word = words.pop(0)
        if word == "--" or word in {"|", ">", "2>", "<", "&&", ";", "&"}:
            return None
        if word.startswith("-"):
            name, _, given = word.partition("=")
            option = option_named(command, name)
            if option is None:
                return f"{path} has no option {name}"
            if words and not (given or option.is_flag or option.count):
                words.pop(0)
        elif hasattr(command, "commands"):
            if word.isupper():
                return None  # stands for any command
            following = command.commands.get(word)
            if following is None:
                return f"{path} has no command {word}"
            command, path = following, f"{path} {word}"
        elif command.context_settings.get("allow_interspersed_args") is False:
            return None
    return None


def option_named(command: Command, name: str) -> Option:
    """The option of a command, `--help` included, or None."""
    for parameter in command.get_params(command.context_class(command)):
        if parameter.param_type_name == "option":
            names = {*parameter.opts, *parameter.secondary_opts}
            if name in names:
                return parameter
    return None


def findings(page: Path, targets: set[str], root: Command) -> Iterator[str]:
    """What a page promises that is not so."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        yield from broken_links(page, text)
        lines = list(command_lines(text))
    else:
        recipes = re.findall(r"^ +@?(.+)$", text, re.MULTILINE)
        lines = [recipe.removeprefix(".venv/bin/") for recipe in recipes]
    for line in lines:
        if problem := wrong_command(line, targets, root):
            yield f"`{line}`: {problem}"


def main() -> int:
    root = hodei_command()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = [name for name in tracked_files() if name.endswith(".md") or name == "justfile"]
    found = [f"{name}: {each}" for name in pages for each in findings(ROOT / name, targets, root)]
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
