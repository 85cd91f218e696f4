"""The channels: a webhook that takes JSON, or whatever apprise knows by an address; each gives up after a time.

No address is in any text: it is a secret by itself.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Protocol

from mlops_assets.errors import MlopsError
from mlops_assets.errors.redaction import redacted
from mlops_assets.events.message import PLAIN, Message, first_line, shown_by_chats
from mlops_assets.events.signing import sign
from mlops_assets.use_case.told import BY_US, Told

SECONDS = 8.0
"""Seconds that one message to one channel may take, whatever it waits for."""


class NotTold(MlopsError):
    """A channel did not take a message."""


class Unfit(NotTold):
    """A channel did not take this message, and may take others."""


UNFIT = (400, 413, 422)
"""Answers that are about what was sent: it is wrong, or too long."""


class Channel(Protocol):
    """Tells somebody."""

    def tell(self, message: Message, name: str = "") -> str:
        """Tell a message; what the channel answered.

        Parameters
        ----------
        message
            The message.
        name
            Its id on the way to this channel, the same for each try.

        Raises
        ------
        NotTold
            If it did not take it.
        """
        ...


def open_channel(told: Told, seconds: float = SECONDS) -> Channel:
    """The channel of an address.

    Parameters
    ----------
    told
        What the configuration says.
    seconds
        How long a message may take.
    """
    if told.url.lower().startswith(BY_US):
        return Webhook(told.url, seconds, told.secret or "")
    return Apprise(told.url, seconds)


class Webhook:
    """Posts JSON, signed if there is a secret.

    Parameters
    ----------
    url
        The address.
    seconds
        How long it may take.
    secret
        What the receiver knows, too; empty where nothing is signed.
    """

    def __init__(self, url: str, seconds: float = SECONDS, secret: str = "") -> None:
        self._url = url
        self._seconds = seconds
        self._secret = secret

    def tell(self, message: Message, name: str = "") -> str:
        """One POST."""
        body = json.dumps(message.to_post()).encode()
        headers = {"Content-Type": "application/json"}
        if self._secret:  # the very bytes that are sent: whoever reads them anew would get others
            try:
                headers |= sign(self._secret, name or uuid.uuid4().hex, time.time(), body)
            except ValueError as error:
                raise NotTold(f"its secret cannot sign: {error}") from None
        return ask("POST", self._url, self._seconds, body, headers)


def ask(
    method: str, url: str, seconds: float, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> str:
    """Ask an address; what it answered, of which the number alone is wanted.

    Parameters
    ----------
    method, url
        How, and where; a redirect is not followed, for it could lead anywhere with what is said.
    seconds
        How long it may take.
    body, headers
        What is said.

    Raises
    ------
    NotTold
        If there was no answer, or one that is no success.
    """
    import requests

    from mlops_assets.journey.enrich.lookups.deadline import ending_after

    try:
        with ending_after(seconds) as session:
            answer = session.request(
                method, url, data=body, headers=headers, timeout=seconds, allow_redirects=False, stream=True
            )
            status = answer.status_code
            answer.close()
    except (requests.RequestException, ValueError, OSError) as error:
        raise NotTold(type(error).__name__) from None
    if not 200 <= status < 300:
        raise (Unfit if status in UNFIT else NotTold)(f"it answered with {status}")
    return f"it answered with {status}"


class Apprise:
    """Tells by apprise: e-mail, Slack, Teams, PagerDuty, ntfy and whatever else it knows.

    Parameters
    ----------
    url
        An address of apprise's.
    seconds
        How long it may take.
    """

    def __init__(self, url: str, seconds: float = SECONDS) -> None:
        self._url = url
        self._seconds = seconds

    def tell(self, message: Message, name: str = "") -> str:  # noqa: ARG002 - apprise's services have ids of their own
        """Tell it in a thread of its own, which is left behind where it hangs."""
        try:
            import apprise  # noqa: F401 - takes seconds, which are not the channel's
        except ModuleNotFoundError:
            raise NotTold("apprise is not installed: pip install 'mlops-assets[apprise]' brings it") from None
        outcome: list[str] = []
        thread = threading.Thread(target=lambda: outcome.append(self._notify(message)), daemon=True)
        thread.start()
        thread.join(self._seconds)
        if not outcome:
            raise NotTold(f"it took longer than {self._seconds:g} s")
        if outcome[0]:
            raise NotTold(outcome[0])
        return "it was taken"

    def _notify(self, message: Message) -> str:
        """Why it was not taken; empty where it was."""
        import apprise

        heard = _Heard()
        logger = logging.getLogger("apprise")
        logger.addHandler(heard)
        try:
            # where it keeps nothing on this disk, and loads nobody's plugins
            known = apprise.Apprise(asset=apprise.AppriseAsset(async_mode=False, storage_mode="memory"))
            if not known.add(self._url):
                return "apprise does not know this kind of address, or it is not whole"
            kinds = {"info": "info", "warning": "warning", "error": "failure"}
            taken = known.notify(
                title=shown_by_chats(message.title, PLAIN),
                body=shown_by_chats(message.body or message.sentence, PLAIN),
                notify_type="success" if message.over else kinds[message.severity],
                body_format="text",
            )
            return "" if taken else heard.last or "it did not take the message"
        except Exception as error:  # a plugin of apprise's may raise anything, and must hold nobody up
            return first_line(f"{type(error).__name__}: {error}")
        finally:
            logger.removeHandler(heard)


class _Heard(logging.Handler):
    """The last that apprise said of why it failed; from this thread alone, for several may be told at once."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.last = ""
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        if record.thread == self._thread and record.levelno >= logging.WARNING:
            self.last = first_line(redacted(record.getMessage()))
