"""An alert: what failed, in a few lines of JSON, posted to the webhook that `MLOPS_ALERT_URL` names."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from mlops_assets.errors import MlopsError
from mlops_assets.events.message import shown_by_chats


class AlertNotDelivered(MlopsError):
    """The webhook did not take an alert."""


@dataclass(frozen=True)
class Alert:
    """What somebody is told.

    Attributes
    ----------
    job
        Name of the job.
    days
        The day of the run, or the first and the last one; empty for runs without days.
    run_id
        Dagster's id of the run.
    problem
        What went wrong in one line.
    errors
        The first lines of what the failed steps or checks said.
    what_to_do
        The next step.
    """

    job: str
    days: tuple[str, ...]
    run_id: str
    problem: str
    errors: tuple[str, ...]
    what_to_do: str

    def to_json(self) -> dict[str, object]:
        """The fields as they are, and all of them as `text`, which chat programs show; no mention or link is in it."""
        text = "\n".join([self.problem, *self.errors, self.what_to_do])
        return {"text": shown_by_chats(text), **asdict(self)}


def send(alert: Alert, url: str) -> None:
    """Post an alert; three tries, at most some ten seconds.

    Parameters
    ----------
    alert
        What to tell.
    url
        The webhook. It is often a secret by itself, so no message has it.

    Raises
    ------
    AlertNotDelivered
        If the webhook does not take it.
    """
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    again = (429, 500, 502, 503, 504)
    retry = Retry(
        total=2,
        backoff_factor=0.3,
        allowed_methods=["POST"],
        status_forcelist=again,
        redirect=0,
        # a tick of a sensor has no time for as long as a webhook may ask
        respect_retry_after_header=False,
    )
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=retry))
        session.mount("https://", HTTPAdapter(max_retries=retry))
        try:
            answer = session.post(url, json=alert.to_json(), timeout=3, allow_redirects=False)
            taken = 200 <= answer.status_code < 300
            problem = "" if taken else f"it answered with {answer.status_code}"
        except (requests.RequestException, ValueError) as error:
            problem = type(error).__name__
    if problem:
        raise AlertNotDelivered(
            f"The alert of the run {alert.run_id} was not delivered: {problem}. Look at the address in MLOPS_ALERT_URL "
            "and at what listens there."
        )
