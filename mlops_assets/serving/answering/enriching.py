"""Files of requests are answered with what enrichments say of their keys at this moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import pyarrow as pa

from mlops_assets.journey.enrich.answers import NOTHING, needed
from mlops_assets.journey.enrich.at_once import AtOnce
from mlops_assets.journey.score.online import Answered, Loaded, Sent, answer_files
from mlops_assets.use_case import UseCase
from mlops_assets.workspace import Workspace


class Enriching:
    """Answers files as `answer_files` does, and asks for their keys; one for all threads of a process.

    Parameters
    ----------
    workspace
        The installation.
    use_cases
        The use cases that are served, by name.
    """

    def __init__(self, workspace: Workspace, use_cases: Mapping[str, UseCase]) -> None:
        self._at_once = AtOnce()
        # kept, for their tables remember the commits that they have seen
        self._lakes = {name: workspace.of(one).lake for name, one in use_cases.items()}

    def __call__(self, loaded: Loaded, files: Sequence[Sent], day: str) -> list[Answered]:
        """What the model says of files; see `answer_files`."""
        return answer_files(loaded, files, day, partial(self.ask, loaded, day))

    def ask(self, loaded: Loaded, day: str, rows: pa.Table) -> Mapping[str, pa.Table]:
        """What enrichments say of the keys of rows."""
        use_case = loaded.use_case
        # by the SQL of the version, as the day does it
        names = needed(use_case, loaded.model.sql) if use_case.enrichments else []
        if not names:
            return NOTHING
        lake, seconds = self._lakes[use_case.name], use_case.serving.enrich_seconds
        return self._at_once.ask_now(use_case, lake, names, rows, day, seconds)
