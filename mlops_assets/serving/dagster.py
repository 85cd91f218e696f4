"""A client of Dagster's webserver: starts runs and tells how they stand, by GraphQL over HTTP; imports no Dagster."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests

from mlops_assets.errors import MlopsError
from mlops_assets.settings import CODE_LOCATION

REPOSITORY = "__repository__"
"""The name of what our code location holds."""

CONNECTING, ANSWERING, LAUNCHING = 3, 10, 30
"""Seconds after which the webserver does not answer: people wait for it. Launching a run takes it a few."""

UNDER_WAY = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED")

MOST_PAGES, EVENTS = 20, 1_000
"""Events of a failed run that are looked through for what its steps said, newest releases have no filter for them."""

LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename
  ... on LaunchRunSuccess { run { runId } }
  ... on RunConfigValidationInvalid { errors { message } }
  ... on PipelineNotFoundError { message } ... on UnauthorizedError { message } ... on PythonError { message }
  ... on InvalidSubsetError { message } ... on RunConflict { message } } }"""

RUN_FIELDS = "runId jobName status creationTime startTime endTime tags { key value }"
RUNS = f"""query($filter: RunsFilter!, $limit: Int!) {{ runsOrError(filter: $filter, limit: $limit) {{ __typename
  ... on Runs {{ results {{ {RUN_FIELDS} }} }} ... on PythonError {{ message }} }} }}"""
RUN = f"""query($id: ID!) {{ runOrError(runId: $id) {{ __typename ... on Run {{ {RUN_FIELDS} }} }} }}"""
FAILURES = """query($id: ID!, $after: String, $limit: Int!) { runOrError(runId: $id) { ... on Run {
  eventConnection(afterCursor: $after, limit: $limit) { cursor hasMore events { __typename
    ... on ExecutionStepFailureEvent { stepKey failureMetadata { description } error { ...Said } }
    ... on RunFailureEvent { message error { ...Said } } } } } } }
fragment Said on PythonError { message className causes { message className } }"""


class NoDagster(MlopsError):
    """Dagster's webserver does not answer, or not as it should; the text says what to start."""


class Silent(NoDagster):
    """It took a question and said nothing: what it was asked for may be done."""


class NotLaunched(MlopsError):
    """Dagster did not take a run; the text has its reason."""


@dataclass(frozen=True)
class Failed:
    """A step that failed, and what it said; the run itself where no step did."""

    step: str
    said: str


@dataclass(frozen=True)
class DagsterRun:
    """A run as Dagster knows it.

    Attributes
    ----------
    run_id, job
        Its id, and the name of its job.
    status
        As Dagster says it, such as `STARTED`.
    created, started, ended
        When, in UTC; None where it has not come to that.
    tags
        Its tags.
    """

    run_id: str
    job: str
    status: str
    created: dt.datetime | None
    started: dt.datetime | None
    ended: dt.datetime | None
    tags: Mapping[str, str] = field(default_factory=dict)


class Dagster:
    """Dagster's webserver.

    Parameters
    ----------
    address
        Where it answers, such as `http://127.0.0.1:3000`.
    pages
        Where people open its pages; by default the same.
    """

    def __init__(self, address: str, pages: str = "") -> None:
        self.address = address
        self.pages = pages or address

    def launch(self, job: str, tags: Mapping[str, str], config: Mapping[str, Any] | None = None) -> str:
        """Start a run of a job; its id.

        Raises
        ------
        NoDagster
            If nobody answers.
        NotLaunched
            If Dagster does not take it, or is silent for so long that nobody knows.
        """
        selector = {"repositoryName": REPOSITORY, "repositoryLocationName": CODE_LOCATION, "jobName": job}
        told = [{"key": key, "value": value} for key, value in tags.items()]
        params = {"selector": selector, "runConfigData": config or {}, "executionMetadata": {"tags": told}}
        try:
            done = self._ask(LAUNCH, {"params": params}, LAUNCHING)["launchRun"]
        except Silent:
            said = f"Dagster did not say within {LAUNCHING} seconds whether it took a run of {job}"
            raise NotLaunched(f"{said}: look at its runs before you ask for another.") from None
        if done["__typename"] == "LaunchRunSuccess":
            return str(done["run"]["runId"])
        reasons = [one["message"] for one in done.get("errors", ())] or [done.get("message", done["__typename"])]
        raise NotLaunched(f"Dagster did not take a run of {job}: {_first_line('; '.join(reasons))}")

    def find(self, tags: Mapping[str, str], job: str = "", *, under_way: bool = False) -> DagsterRun | None:
        """The newest run with some tags, of a job if one is named; only among those under way, if that is wanted."""
        wanted: dict[str, Any] = {"tags": [{"key": key, "value": value} for key, value in tags.items()]}
        wanted |= {"pipelineName": job} if job else {}
        wanted |= {"statuses": [*UNDER_WAY]} if under_way else {}
        found = self._ask(RUNS, {"filter": wanted, "limit": 1})["runsOrError"].get("results", [])
        return _run(found[0]) if found else None

    def run(self, run_id: str) -> DagsterRun | None:
        """A run by its id; None if there is none."""
        found = self._ask(RUN, {"id": run_id})["runOrError"]
        return _run(found) if found["__typename"] == "Run" else None

    def failures(self, run_id: str) -> list[Failed]:
        """What the failed steps of a run said, without a trace; what the run said where none failed."""
        steps, ends, after = list[Failed](), list[Failed](), None
        for _ in range(MOST_PAGES):
            page = self._ask(FAILURES, {"id": run_id, "after": after, "limit": EVENTS})["runOrError"]["eventConnection"]
            for event in page["events"]:
                if event["__typename"] == "ExecutionStepFailureEvent":
                    steps.append(Failed(event["stepKey"], _said(event)))
                elif event["__typename"] == "RunFailureEvent":
                    ends.append(Failed("", _said(event)))
            after = page["cursor"]
            if not page["hasMore"]:
                break
        return steps or ends

    def link(self, run_id: str) -> str:
        """The page of a run."""
        return f"{self.pages}/runs/{run_id}"

    def _ask(self, query: str, variables: Mapping[str, Any], seconds: float = ANSWERING) -> dict[str, Any]:
        """What Dagster answers to a query."""
        try:
            # a redirect would lead to the page of a proxy's login
            answer = requests.post(
                f"{self.address}/graphql",
                json={"query": query, "variables": variables},
                timeout=(CONNECTING, seconds),
                allow_redirects=False,
            )
            content = answer.json() if answer.ok else {}
        except requests.ReadTimeout:
            raise self._gone(f"does not answer within {seconds} seconds", Silent) from None
        except (requests.RequestException, ValueError):
            raise self._gone("does not answer") from None
        if not isinstance(content, dict) or not content.get("data"):
            reasons = [str(one.get("message", "")) for one in content.get("errors", ())] if content else []
            raise self._gone(f"answers {answer.status_code}: {_first_line('; '.join(reasons)) or 'no data'}")
        data: dict[str, Any] = content["data"]
        return data

    def _gone(self, what: str, kind: type[NoDagster] = NoDagster) -> NoDagster:
        return kind(
            f"Dagster's webserver at {self.address} {what}. Start it: `mlops-assets dev`, or "
            "the services of docker-compose.yml; if it is elsewhere, set MLOPS_DAGSTER_URL of the API to its address."
        )


def _run(found: Mapping[str, Any]) -> DagsterRun:
    tags = {tag["key"]: tag["value"] for tag in found["tags"]}
    created, started, ended = (_moment(found[name]) for name in ("creationTime", "startTime", "endTime"))
    return DagsterRun(found["runId"], found["jobName"], found["status"], created, started, ended, tags)


def _moment(seconds: float | None) -> dt.datetime | None:
    return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC)


def _said(event: Mapping[str, Any]) -> str:
    """What a failure said: the sentence for people, or the innermost error."""
    for_people = event.get("failureMetadata") or {}
    if for_people.get("description"):
        return str(for_people["description"])
    error = event.get("error") or {}
    chain: Sequence[Mapping[str, Any]] = [error, *error.get("causes", ())]
    return _first_line(str(chain[-1].get("message") or event.get("message") or "no step said why"))


def _first_line(text: str) -> str:
    """A text up to its first line end: what follows is a trace."""
    return text.strip().partition("\n")[0][:1_000]
