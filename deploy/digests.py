"""Images of others by digest: `python -m deploy.digests` says which tags have moved on, `--write` pins them anew.

A digest is what was looked at; a tag is whatever somebody pushed last. Dependabot renews digests each week by a pull
request; this is for whoever will not wait, and tells in the weekly build how old they are.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.images import FILES, pinned, pins
from deploy.registry import NotTold, digest_of


def renew(files: Sequence[Path], ask: Callable[[str, str], str], *, write: bool) -> list[str]:
    """Compare what files pin with what registries have.

    Parameters
    ----------
    files
        The files that name images.
    ask
        Says which digest a name with a tag has now.
    write
        Whether the files are written anew; all of them are asked for first, so nothing is half renewed.

    Returns
    -------
    list of str
        A line for each tag that has another digest now.

    Raises
    ------
    NotTold
        If a registry does not answer.
    """
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    named = {(one.name, one.tag): one.digest for text in texts.values() for one in pins(text)}
    now = {key: ask(*key) for key in named}
    if write:
        for path, text in texts.items():
            path.write_text(pinned(text, now), encoding="utf-8")
    return [
        f"{name}:{tag} was {named[name, tag] or 'not pinned'} and is {digest}"
        for (name, tag), digest in now.items()
        if named[name, tag] != digest
    ]


def main(arguments: list[str]) -> int:
    """Compare the files of the stack, and say what moved.

    Parameters
    ----------
    arguments
        Nothing, or `--write`.

    Returns
    -------
    int
        0 if all is new or was made so, 1 if something moved on, 2 if nobody can tell.
    """
    if arguments not in ([], ["--write"]):
        print("Usage: python -m deploy.digests [--write]", file=sys.stderr)
        return 2
    write = bool(arguments)
    try:
        moved = renew(FILES, digest_of, write=write)
    except NotTold as error:
        print(f"digests: {error}", file=sys.stderr)
        return 2
    for line in moved:
        print(line)
    if not moved:
        print("every image has the digest that its tag has now")
    return int(bool(moved) and not write)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
