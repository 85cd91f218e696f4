"""A sign of life: a file with the time in the home, and a request to whoever waits for one outside."""

from __future__ import annotations

import datetime as dt

from mlops_assets.errors import MlopsError
from mlops_assets.events.channels import NotTold, ask
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
    try:
        return f"the heartbeat was heard: {ask('GET', settings.heartbeat_url, SECONDS)}"
    except NotTold as error:
        raise NobodyHeard(f"The heartbeat was not heard: {error}; see MLOPS_HEARTBEAT_URL.") from None
