"""Signs an image that was tested and gives it its names: `python -m deploy.publish NAME@DIGEST TAG...`.

It lies in the registry already, under its digest alone, as it was scanned and started. The signature is what hosts ask
for; it is made without a key, by the identity of the workflow that runs, and looked at once before a tag leads here.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Sequence

from deploy.host import ISSUER
from deploy.images import REFERENCE

TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")

Run = Callable[[Sequence[str]], object]


def publish(image: str, tags: Sequence[str], run: Run) -> None:
    """Sign an image, look at the signature, and tag it.

    Parameters
    ----------
    image
        Name and digest.
    tags
        The tags.
    run
        Runs a command, and raises where it fails; nothing is tagged then.
    """
    name = image.partition("@")[0]
    anybody = ["--certificate-identity-regexp", "^https://github.com/", "--certificate-oidc-issuer", ISSUER]
    run(["cosign", "sign", "--yes", image])
    run(["cosign", "verify", *anybody, image])
    named = [word for tag in tags for word in ("--tag", f"{name}:{tag}")]
    run(["docker", "buildx", "imagetools", "create", *named, image])


def main(arguments: list[str]) -> int:
    """Publish what the arguments name.

    Parameters
    ----------
    arguments
        Name and digest, and at least one tag.
    """
    image, *tags = " ".join(arguments).split() or [""]  # a workflow hands several tags on as one word
    if not (REFERENCE.fullmatch(image) and tags and all(TAG.fullmatch(tag) for tag in tags)):
        print("Usage: python -m deploy.publish NAME@sha256:DIGEST TAG...", file=sys.stderr)
        return 2
    try:
        publish(image, tags, lambda command: subprocess.run(command, check=True))
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"publish: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
