"""In: the archive of an estimator. Out: the same one, in which `{{ env.NAME }}` stands for what it was filled in with.

An estimator keeps the arguments that it was made with, and its fitted parts keep copies; so the texts are replaced
where they are stored. Only those count that the configuration of the model names, whole or, if they are long enough to
be no part of another word, within a text.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zipfile import ZipFile, ZipInfo

from mlops_assets.errors.redaction import SHORTEST, referred
from mlops_assets.use_case import fill_environment, variables

SCHEMA = "schema.json"
"""The member of an archive that says how the estimator is built, and holds its texts."""


def emptied(content: bytes, references: Sequence[str]) -> bytes:
    """An archive with references to the environment instead of what they stand for.

    Parameters
    ----------
    content
        The archive, of a model that was just made.
    references
        Texts of its configuration that refer to the environment.
    """
    return _replaced(content, {str(fill_environment(text)): text for text in references})


def filled(content: bytes, references: Sequence[str]) -> bytes:
    """An archive with what the environment says instead of references; see `emptied`.

    Raises
    ------
    UnsetVariable
        If it says nothing.
    ValueError
        If the configuration of today refers to no such variable: a forged model would ask for any secret.
    """
    if foreign := sorted(variables(references) - referred()):
        raise ValueError(
            f"it refers to the environment variable {foreign[0]}, and the configuration does not. Nothing was filled in"
        )
    return _replaced(content, {text: str(fill_environment(text)) for text in references})


def _replaced(content: bytes, texts: Mapping[str, str]) -> bytes:
    if not texts:
        return content

    def other(said: str) -> str:
        if said in texts:
            return texts[said]
        for one, another in texts.items():
            if min(len(one), len(another)) >= SHORTEST:
                said = said.replace(one, another)
        return said

    rewritten = io.BytesIO()
    with ZipFile(io.BytesIO(content)) as archive, ZipFile(rewritten, "w") as made:
        for name in archive.namelist():
            data = archive.read(name)
            if name == SCHEMA:
                data = json.dumps(_in_texts(json.loads(data), other), indent=2).encode()
            made.writestr(ZipInfo(name), data)
    return rewritten.getvalue()


def _in_texts(node: Any, other: Callable[[str], str]) -> Any:
    """A node of the schema with other texts; it is built of those of its own, which are no texts of the estimator."""
    if isinstance(node, list):
        return [_in_texts(item, other) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("__loader__") == "JsonNode":
        said = json.loads(node["content"])
        return {**node, "content": json.dumps(other(said))} if isinstance(said, str) else node
    return {name: _in_texts(item, other) for name, item in node.items()}
