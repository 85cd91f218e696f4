"""Who is told of what happens to a use case, by what channel; and by when a day must be published."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, Any, Literal, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationInfo, field_validator

from mlops_assets.use_case.clocks import check_zone
from mlops_assets.use_case.partitions import DAYS, Partitions, date_of
from mlops_assets.use_case.references import VARIABLE
from mlops_assets.use_case.strict import Problem, Strict

Severity = Literal["info", "warning", "error"]

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""How bad it is, the least first."""

Kind = Literal["published", "replaced", "red", "late", "lamp", "champion", "refused", "serving"]

KINDS: tuple[Kind, ...] = get_args(Kind)
"""What may happen."""

BY_US = ("http://", "https://")
"""Addresses that are told by a plain POST of JSON; all others are apprise's."""

LEAST_SECRET = 24
"""Signs of a secret, at least; see `events.signing`."""


class Told(Strict):
    """A channel: where somebody hears of what happens."""

    url: str = Field(
        repr=False,
        description="`{{ env.NAME }}` alone: the address is a secret. `https://...` takes JSON, any other is one of "
        "apprise, such as `mailtos://...`; where the variable is empty the channel is off.",
    )
    secret: str | None = Field(
        None,
        repr=False,
        description="`{{ env.NAME }}` alone: what the receiver of an `https://...` address knows, too, so that each "
        "message is signed; unsigned without this key.",
    )
    severity: Severity = Field(
        "warning", alias="from", description="The least that is told: `info`, `warning`, `error`."
    )
    events: tuple[Kind, ...] = Field(KINDS, min_length=1, description="What is told of; all by default.")

    @field_validator("url")
    @classmethod
    def _can_be_told(cls, url: str) -> str:
        if not url or VARIABLE.search(url):
            return url
        if "://" not in url:
            raise ValueError(
                "this is no address; it must look like https://... or one of apprise's, such as ntfy://..."
            )
        if not url.lower().startswith(BY_US) and find_spec("apprise") is None:
            raise ValueError("this address needs apprise: pip install 'mlops-assets[apprise]' brings it")
        return url

    @field_validator("secret")
    @classmethod
    def _can_sign(cls, secret: str | None, info: ValidationInfo) -> str | None:
        url = info.data.get("url", "")
        if secret is None or not url or VARIABLE.search(secret + url):
            return secret
        if not url.lower().startswith(BY_US):
            raise ValueError("apprise signs nothing: take the key away, or tell an address that begins with https://")
        # said, and empty: nobody shall believe that it is signed
        if len(secret) < LEAST_SECRET:
            raise ValueError(f"a secret has at least {LEAST_SECRET} signs; `openssl rand -base64 32` makes one")
        return secret

    def wants(self, kind: Kind, severity: Severity) -> bool:
        """Whether the channel is told of an event."""
        return bool(self.url) and kind in self.events and SEVERITIES.index(severity) >= SEVERITIES.index(self.severity)


ChannelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


def literal_secrets(written: Mapping[str, Any]) -> Iterator[Problem]:
    """The channels whose address or secret stands in the configuration, or in part: many read what is written there.

    Parameters
    ----------
    written
        `told` as it was written; what is made in Python has nothing there.
    """
    for name, channel in written.items():
        for key, what in (("url", "an address is a secret"), ("secret", "a secret stands in the environment")):
            said = channel.get(key, "") if isinstance(channel, Mapping) else ""
            if said and not VARIABLE.fullmatch(str(said).strip()):
                message = f"{what}: write {{{{ env.NAME }}}} and nothing else, and set that variable"
                yield ("told", name, key), message, "***"


@dataclass(frozen=True)
class Deadline:
    """A time of the day after, by the clock of a zone; of an hour, minutes after it is over.

    Attributes
    ----------
    time
        The time, or the minutes.
    zone
        The zone.
    partitions
        What a period is.
    """

    time: dt.time
    zone: ZoneInfo
    partitions: Partitions = DAYS

    @classmethod
    def parse(cls, text: str, partitions: Partitions = DAYS) -> Self:
        """Read such as `06:30 America/Sao_Paulo`, or `:20` where a period is an hour.

        Raises
        ------
        ValueError
            If it is none.
        """
        if partitions.every == "hour":
            minutes = re.fullmatch(r":([0-5]\d)", text)
            if not minutes:
                raise ValueError('with `partitions: {every: hour}`, write minutes after the hour, such as `":20"`')
            return cls(dt.time(0, int(minutes[1])), partitions.zone, partitions)
        found = re.fullmatch(r"(\d\d):(\d\d) (\S+)", text)
        if not found or int(found[1]) > 23 or int(found[2]) > 59:
            raise ValueError("write a time and a zone, such as `06:30 America/Sao_Paulo`")
        check_zone(found[3])
        return cls(dt.time(int(found[1]), int(found[2])), ZoneInfo(found[3]), partitions)

    def of(self, day: str) -> dt.datetime:
        """When a day must be published: at this time of the day after it, in UTC; of a week, of the Monday after it.

        A time that the clock leaps over is as many minutes after the leap; of one that comes twice, it is the first.

        Examples
        --------
        >>> Deadline.parse("06:30 America/Sao_Paulo").of("2026-01-31").isoformat()
        '2026-02-01T09:30:00+00:00'
        """
        if self.partitions.every == "hour":
            return self.partitions.end(day) + dt.timedelta(minutes=self.time.minute)
        after = date_of(day) + dt.timedelta(days=7 if self.partitions.every == "week" else 1)
        return dt.datetime.combine(after, self.time, self.zone).astimezone(dt.UTC)
