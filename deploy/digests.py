"""Images of others by digest: `python -m deploy.digests` says which tags have moved on, `--write` pins them anew.

A digest is what was looked at; a tag is whatever somebody pushed last. Dependabot renews digests each week by a pull
request; this is for whoever will not wait, and tells in the weekly build how old they are. Registries are asked by the
protocol that all of them speak.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.images import DIGEST, FILES, pinned, pins

PATIENCE, LONGEST = 20.0, 60.0
"""Seconds of silence, and seconds that an answer may take in all."""

LARGEST = 4 * 2**20
"""Bytes of a manifest: registries take no larger ones."""

ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
"""An index comes first: it stands for the image on every kind of machine."""


class NotTold(RuntimeError):
    """A registry does not say what a tag has, or says something that does not fit."""


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


def digest_of(name: str, tag: str, scheme: str = "https") -> str:
    """The digest that a tag has now.

    The manifest itself is fetched, and its hash is what counts, not what the registry says of it.

    Parameters
    ----------
    name
        As a Dockerfile has it: `python`, `owner/name`, `ghcr.io/owner/name`.
    tag
        The tag.
    scheme
        `http` for a registry on this machine.

    Raises
    ------
    NotTold
        If there is no answer, or none that fits.
    """
    host, path = place_of(name)
    url = f"{scheme}://{host}/v2/{path}/manifests/{urllib.parse.quote(tag)}"
    try:
        try:
            body, said = _get(url, {"Accept": ACCEPT})
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise
            with error:
                challenge = error.headers.get("WWW-Authenticate", "")
            body, said = _get(url, {"Accept": ACCEPT, "Authorization": f"Bearer {_token(challenge, scheme)}"})
    except (OSError, ValueError, http.client.HTTPException) as error:
        later = ": ask again later" if isinstance(error, urllib.error.HTTPError) and error.code == 429 else ""
        raise NotTold(f"{host} does not say what {name}:{tag} is: {error}{later}") from None
    found = f"sha256:{hashlib.sha256(body).hexdigest()}"
    if said and said != found:
        raise NotTold(f"{host} says that {name}:{tag} is {said}, and what it sent is {found}")
    return found


def place_of(name: str) -> tuple[str, str]:
    """Registry and path of a name, as Docker reads it.

    Examples
    --------
    >>> place_of("python")
    ('registry-1.docker.io', 'library/python')
    >>> place_of("ghcr.io/owner/project")
    ('ghcr.io', 'owner/project')
    """
    first, _, rest = name.partition("/")
    if rest and ("." in first or ":" in first or first == "localhost"):
        return first, rest
    return "registry-1.docker.io", name if rest else f"library/{name}"


class _SameScheme(urllib.request.HTTPRedirectHandler):
    """Follows no redirect from https to where others may write the answer, and takes no token along."""

    def redirect_request(
        self, req: urllib.request.Request, fp: object, code: int, msg: str, headers: object, newurl: str
    ) -> urllib.request.Request | None:
        if urllib.parse.urlsplit(newurl).scheme != req.type:
            raise ValueError(f"it leads elsewhere than by {req.type}")
        req.remove_header("Authorization")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


_OPENER = urllib.request.build_opener(_SameScheme)


def _get(url: str, headers: dict[str, str]) -> tuple[bytes, str]:
    """What lies there, and which digest the answer says that it has."""
    asked = urllib.request.Request(url, headers=headers)  # noqa: S310 - of the scheme that was asked for
    deadline, body = time.monotonic() + LONGEST, b""
    with _OPENER.open(asked, timeout=PATIENCE) as answer:
        while part := answer.read1(2**16):
            body += part
            if len(body) > LARGEST:
                raise ValueError(f"it sends more than {LARGEST} bytes")
            if time.monotonic() > deadline:
                raise ValueError(f"it takes more than {LONGEST:.0f} seconds")
        if answer.length:
            raise ValueError("its answer ends early")
        said = answer.headers.get("Docker-Content-Digest", "")
    return body, said if DIGEST.fullmatch(said) else ""


def _token(challenge: str, scheme: str) -> str:
    """A token for whoever asks without a name: public images need no more."""
    said = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    if not said.get("realm", "").startswith(f"{scheme}://"):
        raise ValueError("it asks for a login")
    query = urllib.parse.urlencode({key: said[key] for key in ("service", "scope") if key in said})
    body, _ = _get(f"{said['realm']}?{query}", {})
    found = json.loads(body)
    token = (found.get("token") or found.get("access_token")) if isinstance(found, dict) else None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise ValueError("it gives no token")
    return token


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
