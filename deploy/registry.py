"""Asks a registry of images which digest a tag has now, by the protocol that all registries speak."""

from __future__ import annotations

import hashlib
import json
import re
import urllib.error
import urllib.parse
import urllib.request

from deploy.images import DIGEST

PATIENCE = 20.0
LARGEST = 4 * 2**20
"""Seconds that an answer may take, and bytes of a manifest: registries take no larger ones."""

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
            body, said = _get(url, {"Accept": ACCEPT, "Authorization": f"Bearer {_token(challenge)}"})
    except (OSError, ValueError) as error:
        raise NotTold(f"{host} does not say what {name}:{tag} is: {error}") from None
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


def _get(url: str, headers: dict[str, str]) -> tuple[bytes, str]:
    """What lies there, and which digest the answer says that it has."""
    asked = urllib.request.Request(url, headers=headers)  # noqa: S310 - https, or a registry that a test names
    with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:  # noqa: S310
        body = answer.read(LARGEST + 1)
        said = answer.headers.get("Docker-Content-Digest", "")
    if len(body) > LARGEST:
        raise ValueError(f"it sends more than {LARGEST} bytes")
    return body, said if DIGEST.fullmatch(said) else ""


def _token(challenge: str) -> str:
    """A token for whoever asks without a name: public images need no more."""
    said = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    if "realm" not in said:
        raise ValueError("it asks for a login")
    query = urllib.parse.urlencode({key: said[key] for key in ("service", "scope") if key in said})
    body, _ = _get(f"{said['realm']}?{query}", {})
    found = json.loads(body)
    return str(found.get("token") or found["access_token"])
