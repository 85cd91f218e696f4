"""A sign of life: a file with the time in the home, and a request to whoever waits for one outside."""

from __future__ import annotations

import datetime as dt

from mlops_assets.errors import MlopsError
from mlops_assets.settings import Settings
from mlops_assets.storage.places import write_whole

FILE = "heartbeat"
"""Name of the file in the home."""

SECONDS = 5.0


class NobodyHeard(MlopsError):
    """The address of the heartbeat did not take it."""


def beat(settings: Settings, now: dt.datetime) -> str:
    """Write the file, and ask the address for an answer if there is one; what was done, in words.

    Parameters
    ----------
    settings
        Have the home, and the address.
    now
        The moment.

    Raises
    ------
    NobodyHeard
        If the address did not answer as it must; the file is written all the same.
    """
    write_whole(settings.home / FILE, f"{now.isoformat(timespec='seconds')}\n".encode())
    if not settings.heartbeat_url:
        return "the file is written; MLOPS_HEARTBEAT_URL is not set"
    import requests

    from mlops_assets.journey.enrich.lookups.deadline import ending_after

    try:
        with ending_after(SECONDS) as session:
            answer = session.get(settings.heartbeat_url, timeout=SECONDS, allow_redirects=False, stream=True)
            status = answer.status_code
            answer.close()
    except (requests.RequestException, ValueError, OSError) as error:
        raise NobodyHeard(f"The heartbeat was not heard: {type(error).__name__}; see MLOPS_HEARTBEAT_URL.") from None
    if not 200 <= status < 300:
        raise NobodyHeard(f"The heartbeat was not heard: it answered with {status}; see MLOPS_HEARTBEAT_URL.")
    return f"the heartbeat was heard: {status}"
