"""The reference of commands, of what click knows of them: each with its words, arguments, options and examples."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from mlops_assets.cli import cli
from mlops_assets.job import job


def reference() -> str:
    """All commands, a section each.

    Returns
    -------
    str
        Markdown, with headings of the second level.
    """
    every = [(f"mlops-assets {name}", command) for name, command in sorted(cli.commands.items())]
    return "\n".join(_section(name, command) for name, command in [*every, ("python -m mlops_assets.job", job)])


def _section(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    lines = [f"## {name.removeprefix('mlops-assets ')}", "", "```text", usage, "```", "", *_words(command.help or "")]
    options = [found for one in command.params if (found := _option(one, context))]
    if options:
        lines += ["| option | what it says |", "|---|---|", *options, ""]
    return "\n".join(lines)


def _words(text: str) -> Iterator[str]:
    """The paragraphs of a help; those that click keeps as they are broken become blocks of code."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if not paragraph.startswith("\b\n"):
            yield from (_escaped(" ".join(paragraph.split())), "")
            continue
        title, *shown = paragraph.removeprefix("\b\n").splitlines()
        if title.startswith(" ") or not all(line.startswith(" ") for line in shown):
            title, shown = "", [title, *shown]
        yield from ([title, ""] if title else [])
        yield from ("```text", inspect.cleandoc("\n" + "\n".join(shown)), "```", "")


def _option(parameter: click.Parameter, context: click.Context) -> str | None:
    record = parameter.get_help_record(context)
    if record is None:
        return None
    name, said = record
    if not said:  # an argument that the line above says all of
        return None
    return f"| `{name.replace('|', chr(92) + '|')}` | {_escaped(said)} |"


def _escaped(text: str) -> str:
    """Words as they stand: nothing of them is a sign of Markdown, but for code between backticks."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"[\\<>*_\[\]]", r"\\\g<0>", part) for part in parts[::2]]
    return "`".join(parts).replace("|", "\\|")
