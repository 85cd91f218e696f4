"""How raw files are written, what they must hold, and how a published table is cut into them."""

from __future__ import annotations

import codecs
import datetime as dt
import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveInt, ValidationInfo, field_validator, model_validator

from mlops_assets.plugins import RecordReader, implements
from mlops_assets.use_case.notices import NOTICES, find_notice
from mlops_assets.use_case.strict import Share, Strict

BOUNDS: dict[str, type] = {"integer": float, "number": float, "date": dt.date, "timestamp": dt.date}
"""What bounds a type; the others have no order."""

DATES = (dt.date(1900, 1, 1), dt.date(2200, 12, 31))
"""First and last date that is taken for one unless a column says otherwise: beyond them lie what databases write for
'never' and 'not known', such as 0001-01-01 and 9999-12-31."""

Negative = Literal["minus behind", "parentheses"]


CSV_KEYS = ("delimiter", "encoding", "header", "quotes", "line_breaks_in_fields", "utf8", "complete")
"""Keys that say how text is cut into lines and fields."""

MEANT: dict[str, tuple[str, ...]] = {
    "csv": CSV_KEYS,
    "jsonl": ("complete",),
    "parquet": (),
    "xml": ("record",),
    "fixed": ("encoding", "header", "utf8", "complete"),
}
"""By format: which of the keys that not every format has it looks at."""

LATER = ("format", "compression", "record")
"""Keys that there were not always: a contract that does not say them keeps its fingerprint."""


class FileFormat(Strict):
    """How a raw file is written."""

    format: Literal["csv", "jsonl", "parquet", "xml", "fixed"] = Field(
        "csv", description="What a file is: `csv`, `jsonl`, `parquet`, `xml` or `fixed` (columns by their place)."
    )
    compression: Literal["none", "gzip", "zstd"] = Field("none", description="How files of any format are compressed.")
    record: str = Field("", description="XML: name of the element that is a record, without its prefix.")
    suffix: str = Field(".csv", description="End of the name of a data file; other files are refused.")
    delimiter: str = Field(",", min_length=1, max_length=1, description="Character between two fields.")
    encoding: str = Field("utf-8", description="Encoding of the text, by Python's name for it.")
    decimal: Literal[".", ","] = Field(".", description="Decimal sign of numbers.")
    thousands: Literal["", ".", ",", " ", "'"] = Field("", description="Sign between groups of three digits, if any.")
    negative: tuple[Negative, ...] = Field(
        (), description="Further ways to write -5: `minus behind` (`5-`), `parentheses` (`(5)`)."
    )
    currency: tuple[str, ...] = Field(
        (), description="Signs that may stand before or behind a number and are dropped, such as `R$` or `EUR`."
    )
    header: Literal["names", "ignored", "none"] = Field(
        "names",
        description="`names`: the first line names the columns. Else fields are the columns in their order: `ignored` "
        "skips the first line, with `none` it is a row.",
    )
    quotes: bool = Field(True, description="Whether a field may stand between double quotes.")
    line_breaks_in_fields: bool = Field(False, description="Whether a field between double quotes may span lines.")
    utf8: Literal["refuse", "read", "as_written"] = Field(
        "refuse",
        description="What is done with a file that is UTF-8 where `encoding` is another: `refuse`, `read` as UTF-8, or "
        "read `as_written` in the contract.",
    )
    complete: Literal["fields", "line_end"] = Field(
        "fields", description="What the last line must have: all its `fields`, or a `line_end`, too."
    )
    largest: int = Field(
        64 << 20, gt=0, description="Largest file in bytes, packed or unpacked; a larger one is refused."
    )
    reader: Annotated[str, implements(RecordReader)] | None = Field(
        None, description="Import path of a class that finds the records of a file, instead of `format`."
    )
    attachments: tuple[str, ...] = Field(
        (), description="Ends of the names of files that are no data, but records refer to them, such as `.png`."
    )

    @field_validator("encoding")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            codec = codecs.lookup(name).name
            ascii_alike = _is_ascii_alike(codec)
        except LookupError:  # of `hex` and the like, too: codecs, but none of text
            raise ValueError(f"Python knows no encoding {name!r}; examples: utf-8, latin-1, mac_roman") from None
        if not ascii_alike:
            raise ValueError(f"{name!r} does not hold ASCII as it is; examples: utf-8, latin-1, mac_roman")
        # by Python's own name, so that two spellings are one contract
        return codec

    @field_validator("thousands")
    @classmethod
    def _differs(cls, thousands: str, info: ValidationInfo) -> str:
        if thousands and thousands == info.data.get("decimal"):
            raise ValueError(f"{thousands!r} is the decimal sign too; name another one")
        return thousands

    @field_validator("currency")
    @classmethod
    def _are_no_digits(cls, currency: tuple[str, ...]) -> tuple[str, ...]:
        wrong = next((sign for sign in currency if not sign or re.search(r"[\d()+-]|^[\s.,']|\s$", sign)), None)
        if wrong is not None:
            raise ValueError(
                f"{wrong!r} may be part of a number; name signs such as 'R$' or 'EUR', without blanks around"
            )
        return currency

    @field_validator("attachments")
    @classmethod
    def _are_no_data(cls, attachments: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        suffix = info.data.get("suffix", "")
        for end in attachments:
            if suffix.endswith(end):
                raise ValueError(f"names that end in {end!r} are those of data files (`suffix: {suffix}`)")
        return attachments

    @model_validator(mode="before")
    @classmethod
    def _fixed_has_no_names(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("format") == "fixed" and "header" not in given:
            return {**given, "header": "none"}
        return given

    @field_validator("record")
    @classmethod
    def _is_a_name(cls, record: str) -> str:
        if record and not re.fullmatch(r"[^\W\d][\w.-]*", record):
            raise ValueError(f"{record!r} is not the name of an element; write it without its prefix, path or brackets")
        return record

    @model_validator(mode="after")
    def _one_reader(self) -> Self:
        fields = type(self).model_fields
        # what would be passed over in silence is refused
        known = dict.fromkeys((*CSV_KEYS, "record"))
        said = [name for name in known if getattr(self, name) != fields[name].default]
        if self.reader and self.format != "csv":
            raise ValueError("format is read by the platform, and `reader` names a class: say one of them")
        idle = [name for name in said if self.reader or name not in MEANT[self.format]]
        if idle and self.reader:
            raise ValueError(f"{idle[0]} is for CSV files: the class that `reader` names looks after it itself")
        if idle:
            raise ValueError(f"{idle[0]} says nothing of files of the format {self.format}")
        if self.format == "fixed" and self.header == "names":
            raise ValueError("header: files of fixed width name no columns; say `ignored` or `none`")
        if self.format == "xml" and not self.record:
            raise ValueError("record: name the element of an XML file that is a record, such as `record: transaction`")
        return self

    def reading(self) -> dict[str, Any]:
        """What decides how a file is read, as plain values; without later keys that say nothing."""
        fields = type(self).model_fields
        unsaid = {name for name in LATER if getattr(self, name) == fields[name].default}
        return self.model_dump(mode="json", exclude=unsaid)


def _is_ascii_alike(codec: str) -> bool:
    """Whether delimiters, quotes and line ends are the bytes that the reader looks for."""
    ascii_bytes = bytes(range(128))
    try:
        return ascii_bytes.decode(codec) == ascii_bytes.decode("ascii")
    except UnicodeDecodeError:
        return False


class Column(Strict):
    """One column of the raw files: where it comes from, its type and what it may hold."""

    source: str | None = Field(
        None, alias="from", description="Name in the file's header, or path to the value in a record, if it differs."
    )
    at: tuple[PositiveInt] | tuple[PositiveInt, PositiveInt] | None = Field(
        None,
        description="Fixed width: the first and last place of the field, from 1; to the end of the line without it.",
    )
    type: Literal["string", "integer", "number", "date", "timestamp", "boolean"] = Field(description="Type.")
    format: str = Field("", description="strptime format of a date or timestamp; ISO 8601 by default.")
    zone: Literal["utc", "as written"] = Field(
        "utc", description="Of a timestamp with an offset (`%z`): its moment in UTC, or the clock as it is written."
    )
    required: bool = Field(False, description="Whether an empty value makes the row a reject.")
    optional_column: bool = Field(False, description="Whether the file may lack the whole column.")
    constant: bool = Field(False, description="Whether a file must hold one value only; else it is refused.")
    missing: tuple[str, ...] = Field((), description="Texts that mean 'no value', besides the empty one.")
    min: float | dt.date | None = Field(
        None, description="Smallest value allowed; 1900-01-01 for dates and timestamps."
    )
    max: float | dt.date | None = Field(None, description="Largest value allowed; 2200-12-31 for dates and timestamps.")
    allowed: tuple[str, ...] = Field((), description="The only values allowed, if given.")
    unit: str = Field("", description="What its numbers are counted in, such as `BRL` or `years`; for people.")
    about: str = Field("", description="What the column means.")

    @field_validator("at")
    @classmethod
    def _is_in_order(cls, at: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if at is not None and at[-1] < at[0]:
            raise ValueError(f"{list(at)} ends before it begins")
        return at

    @field_validator("min", "max")
    @classmethod
    def _bounds_the_type(cls, bound: float | dt.date | None, info: ValidationInfo) -> float | dt.date | None:
        kind = info.data.get("type")
        # no type where that is wrong itself, which is told
        if bound is None or kind is None:
            return bound
        if not isinstance(bound, BOUNDS.get(kind, ())):
            raise ValueError(f"{bound} bounds no {kind}")
        if kind == "integer" and not float(bound).is_integer():  # type: ignore[arg-type]  # it is a number
            raise ValueError(f"{bound} bounds no integer; name a whole number")
        return bound

    @field_validator("zone")
    @classmethod
    def _is_written(cls, zone: str, info: ValidationInfo) -> str:
        # what would be passed over in silence is refused
        if zone != "utc" and (info.data.get("type") != "timestamp" or "%z" not in info.data.get("format", "")):
            raise ValueError("only a timestamp whose `format` has the offset `%z` has a zone")
        return zone

    def header(self, name: str) -> str:
        """Name in the header of a file; `name` is the column's own."""
        # headers are compared without the blanks around them
        return name if self.source is None else self.source.strip()

    def reading(self) -> dict[str, Any]:
        """What decides how it is read, as plain values: what it means to people changes no row."""
        # a contract without places keeps its fingerprint
        return self.model_dump(mode="json", exclude={"about", "unit", *(["at"] if self.at is None else [])})

    @property
    def bounds(self) -> tuple[float | dt.date | None, float | dt.date | None]:
        """Smallest and largest value allowed; None where there is no bound."""
        first, last = DATES if self.type in ("date", "timestamp") else (None, None)
        return (first if self.min is None else self.min), (last if self.max is None else self.max)

    @property
    def strptime(self) -> str:
        """The format by which a date or timestamp of this column is read."""
        return self.format or ("%Y-%m-%d" if self.type == "date" else "%Y-%m-%d %H:%M:%S")


class Checks(Strict):
    """The conditions of a day; a day that fails one is not published."""

    reject_rate: Share = Field(0.2, description="Largest share of lines that may be rejected.")
    quarantine_rate: Share = Field(0.95, description="Largest share of files that may be refused.")
    file_rejects: int = Field(
        10_000, ge=0, description="Most rejected lines that a file may have whatever their share; see the next key."
    )
    file_reject_rate: Share = Field(
        0.2, description="With more of them, the largest share of its lines; else the file is refused as a whole."
    )
    sql_rejects: Share = Field(
        0, description="Largest share of rows that may be left out because `features.sql` or the model fails on them."
    )
    unseen_share: dict[str, Share] = Field(
        default_factory=dict, description="Category column of the model: largest share of values it never saw."
    )
    noticed: dict[str, Share] = Field(
        default_factory=dict, description="What is noticed on reading: largest share of files, rows or lines."
    )

    @field_validator("noticed")
    @classmethod
    def _can_be_noticed(cls, limits: dict[str, float]) -> dict[str, float]:
        for name in limits:
            if find_notice(name) is None:
                raise ValueError(f"nothing named {name!r} is noticed; known: {', '.join(NOTICES)}")
        return limits


class Import(Strict):
    """How one published table is cut into raw files of days: one file per key and calendar month."""

    key: tuple[str, ...] = Field(min_length=1, description="Columns whose values name a file.")
    date: str = Field(description="Date column; a month's file lies in the first day of the next month.")
    kaggle: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]+/[A-Za-z0-9_-]+$",
        description="Data set of Kaggle that holds the table, `owner/name`: what `import --download` fetches.",
    )
