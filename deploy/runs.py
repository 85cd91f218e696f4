"""Runs of Dagster as a rollout needs them, asked of its webserver: which are in flight, ended, begun again.

Plain Python: a host that has Docker and nothing else runs this.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.request
from collections.abc import Sequence
from typing import Any

from deploy.healthy import DIRECT

IN_FLIGHT = ("STARTING", "STARTED", "CANCELING")
"""What a run is while its code is at work. What waits in the queue has no code yet, and stays in the queue."""

INSTEAD_OF = "mlops/begun_again_for"
"""A tag with the run that a deploy ended and that this one was begun for: by it none is begun twice."""

PATIENCE = 60.0
LARGEST = 16 * 2**20

RUNS = """query($filter: RunsFilter!) { runsOrError(filter: $filter, limit: 1000) { __typename
  ... on Runs { results { runId status repositoryOrigin { id } } } ... on PythonError { message } } }"""
TERMINATE = """mutation($runs: [String!]!, $policy: TerminateRunPolicy!) {
  terminateRuns(runIds: $runs, terminatePolicy: $policy) { __typename ... on PythonError { message } } }"""
AGAIN = """mutation($params: ReexecutionParams!) { launchRunReexecution(reexecutionParams: $params) { __typename
  ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } ... on PipelineNotFoundError { message }
  ... on InvalidSubsetError { message } ... on RunConflict { message } ... on UnauthorizedError { message } } }"""
LOCATIONS = """{ workspaceOrError { __typename ... on Workspace { locationEntries { name loadStatus
  locationOrLoadError { __typename ... on PythonError { message } } } } ... on PythonError { message } } }"""


class NoAnswer(RuntimeError):
    """Dagster's webserver does not answer, or refuses what it is asked for; the text says what."""


class Dagster:
    """Dagster's webserver.

    Parameters
    ----------
    address
        Where it answers, such as `http://127.0.0.1:3000`.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    def in_flight(self) -> list[str]:
        """The runs whose code is at work."""
        return [run["runId"] for run in self._runs({"statuses": IN_FLIGHT})]

    def end(self, runs: Sequence[str], *, at_once: bool = False) -> None:
        """Ask runs to end.

        Parameters
        ----------
        runs
            Their ids.
        at_once
            Whether they are called ended without waiting for them, for what does not listen.
        """
        policy = "MARK_AS_CANCELED_IMMEDIATELY" if at_once else "SAFE_TERMINATE"
        self._ask(TERMINATE, {"runs": [*runs], "policy": policy}, "terminateRuns")

    def begin_again(self, run: str) -> bool:
        """See that a run that was ended is begun again: now, unless it is done or was begun again already.

        Parameters
        ----------
        run
            Its id.

        Returns
        -------
        bool
            False if it was a command's own (`mlops-assets run`): Dagster cannot begin it, who gave the command can.

        Raises
        ------
        NoAnswer
            If Dagster does not take it: the code that is here now may have no such job.
        """
        if self._runs({"tags": [{"key": INSTEAD_OF, "value": run}]}):
            return True
        found = [one for one in self._runs({"runIds": [run]}) if one["status"] != "SUCCESS"]
        if not found:
            return True
        if found[0]["repositoryOrigin"] is None:
            return False
        tags = [{"key": INSTEAD_OF, "value": run}]
        params = {"parentRunId": run, "strategy": "ALL_STEPS", "extraTags": tags, "useParentRunTags": True}
        self._ask(AGAIN, {"params": params}, "launchRunReexecution")
        return True

    def check_code(self) -> None:
        """See that the webserver has loaded the code.

        Raises
        ------
        NoAnswer
            If it has not; with what Dagster says.
        """
        entries = self._ask(LOCATIONS, {}, "workspaceOrError")["locationEntries"]
        for entry in entries:
            found = entry["locationOrLoadError"] or {"__typename": "nothing yet"}
            if found["__typename"] != "RepositoryLocation":
                raise NoAnswer(f"the code is not loaded: {_first_line(found)}")
        if not entries:
            raise NoAnswer("Dagster knows no code location")

    def _runs(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ask(RUNS, {"filter": wanted}, "runsOrError")["results"]
        return found

    def _ask(self, query: str, variables: dict[str, Any], field: str) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._address}/graphql", body, headers)  # noqa: S310 - our own webserver
        try:
            with DIRECT.open(request, timeout=PATIENCE) as answer:
                said = json.loads(answer.read(LARGEST))
            found: dict[str, Any] = said["data"][field]
        except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException) as error:
            raise NoAnswer(f"Dagster's webserver at {self._address} does not answer: {error!r}") from None
        if found["__typename"] not in FINE:
            raise NoAnswer(f"Dagster says {found['__typename']}: {_first_line(found)}")
        return found


FINE = ("Runs", "TerminateRunsResult", "LaunchRunSuccess", "Workspace")


def _first_line(said: dict[str, Any]) -> str:
    return str(said.get("message") or said["__typename"]).strip().partition("\n")[0][:300]


def wait_until_none_is_in_flight(
    dagster: Dagster, seconds: float, look: float = 2.0, silence: float = 0.0
) -> list[str]:
    """Wait for runs to end by themselves.

    Parameters
    ----------
    dagster
        Where they run.
    seconds
        How long.
    look
        Seconds between two looks.
    silence
        Seconds for which it may be silent: a webserver that starts anew says nothing of runs, which go on.

    Returns
    -------
    list of str
        Those that are still in flight.

    Raises
    ------
    NoAnswer
        If it is silent for longer.
    """
    begun = heard = time.monotonic()
    while True:
        try:
            left = dagster.in_flight()
        except NoAnswer:
            if time.monotonic() - heard >= silence:
                raise
        else:
            heard = time.monotonic()
            if not left or heard - begun >= seconds:
                return left
        time.sleep(look)
