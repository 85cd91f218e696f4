"""In: the name of a data set of Kaggle. Out: its tables, in a folder that is gone afterwards."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.use_case import UseCase

if TYPE_CHECKING:
    from requests import Response, Session

API = "https://www.kaggle.com/api/v1"
"""Where Kaggle answers, unless `KAGGLE_API` names another place, such as a mirror."""

USERS, KEY = ("KAGGLE_USER", "KAGGLE_USERNAME"), "KAGGLE_KEY"

MOST_PACKED, MOST_UNPACKED, MOST_RATIO = 1 << 30, 4 << 30, 200
MOST_MEMBERS = 1_000
REDIRECTS = 5
TIMEOUT = (10, 60)
PIECE = 1 << 16
TRIES = 3


@contextmanager
def downloaded(
    use_case: UseCase, files: Sequence[Path], tell: Callable[[str], None] = lambda _: None
) -> Iterator[Sequence[Path]]:
    """The tables to import: those that are named, or the published ones, fetched from Kaggle.

    Parameters
    ----------
    use_case
        Its `import.kaggle` names the data set.
    files
        Tables that are named; nothing is fetched then.
    tell
        Is told what is done.

    Raises
    ------
    UsageError
        If no data set is named, or user and key are not set.
    MlopsError
        If it cannot be fetched, or holds what is no table of the use case.
    """
    if files:
        yield files
        return
    data_set = use_case.imports.kaggle if use_case.imports else None
    if data_set is None:
        raise UsageError(f"{use_case.name} has no `import.kaggle` in its defs.yaml: name its data set, or a table.")
    # nothing of it stays, whatever happens
    with tempfile.TemporaryDirectory(prefix="kaggle-") as temporary:
        archive = Path(temporary) / "archive"
        _fetch(data_set, archive, tell)
        yield _unpack(archive, Path(temporary) / "tables", use_case.files.suffix)


def _credentials() -> tuple[str, str]:
    user = next((os.environ[name] for name in USERS if os.environ.get(name)), "")
    key = os.environ.get(KEY, "")
    if not user or not key:
        raise UsageError(
            f"--download: set {USERS[0]} and {KEY} to the user and key of a Kaggle account (Settings, API); or fetch "
            "the table by hand, and name it."
        )
    return user, key


def _fetch(data_set: str, archive: Path, tell: Callable[[str], None]) -> None:
    """Fetch the archive of a data set; what breaks off is gone on with."""
    import requests
    from urllib3.exceptions import HTTPError

    url = f"{os.environ.get('KAGGLE_API', API).rstrip('/')}/datasets/download/{data_set}"
    credentials = _credentials()
    _check_address(url)
    tell(f"Fetching {data_set} from {urlsplit(url).hostname}")
    for attempt in range(1, TRIES + 1):
        try:
            return _fetch_rest(url, credentials, archive)
        except (requests.RequestException, HTTPError) as error:
            # its text may quote an address with a signature
            what = type(error).__name__
        if attempt < TRIES:
            tell(f"The download broke off ({what}) and is gone on with.")
    raise MlopsError(f"{data_set} cannot be fetched from {urlsplit(url).hostname}: {what}. Try again later.")


def _fetch_rest(url: str, credentials: tuple[str, str], archive: Path) -> None:
    import requests

    have = archive.stat().st_size if archive.exists() else 0
    with requests.Session() as session:
        session.trust_env = False  # no password of a `.netrc` for whomever we are sent to
        session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
        with _open(session, url, credentials, have) as response:
            if have and response.status_code != 206:
                have = 0  # the server begins anew
            length = int(response.headers.get("Content-Length") or 0) + have
            if length > MOST_PACKED:
                raise MlopsError(f"{url}: {length:,} bytes, allowed are {MOST_PACKED:,}.")
            with archive.open("ab" if have else "wb") as file:
                # what came before it broke off counts; its length is looked at below
                response.raw.enforce_content_length = False
                for piece in response.raw.stream(PIECE, decode_content=False):
                    have += len(piece)
                    if have > MOST_PACKED:
                        raise MlopsError(f"{url}: more than {MOST_PACKED:,} bytes.")
                    file.write(piece)
    if length > have:
        raise requests.ConnectionError("cut off")


def _open(session: Session, url: str, credentials: tuple[str, str], have: int) -> Response:
    """The answer behind all redirects; user and key are for the first host alone."""
    from requests.utils import get_environ_proxies

    at = url
    for _ in range(REDIRECTS + 1):
        _check_address(at)
        same = _origin(at) == _origin(url)
        response = session.get(
            at,
            auth=credentials if same else None,
            headers={"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})},
            timeout=TIMEOUT,
            proxies=get_environ_proxies(at),
            stream=True,
            allow_redirects=False,
        )
        if not response.is_redirect:
            _check_status(response, url)
            return response
        at = urljoin(at, response.headers["Location"])
        response.close()
    raise MlopsError(f"{url}: redirects more than {REDIRECTS} times.")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _check_address(url: str) -> None:
    """See that a key, and what is fetched, go over TLS, or stay on this machine."""
    parts = urlsplit(url)
    local = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise MlopsError(f"{parts.scheme}://{parts.hostname}: only https is fetched from.")


def _check_status(response: Response, url: str) -> None:
    if response.status_code in (200, 206):
        return
    response.close()
    reasons = {
        401: f"the user or key is wrong: look at {USERS[0]} and {KEY}",
        403: "access is refused: open the data set's page once with this account, and accept its terms",
        404: "there is no such data set (any more)",
        416: "the download cannot be gone on with; try again",
        429: "too many requests: wait a while",
    }
    reason = reasons.get(response.status_code, "try again later")
    raise MlopsError(f"{url}: answers {response.status_code}; {reason}.")


def _unpack(archive: Path, folder: Path, suffix: str) -> list[Path]:
    """The tables of an archive: its members with the ending of the use case's files, or of a packed one."""
    folder.mkdir()
    try:
        with zipfile.ZipFile(archive) as members:
            found = members.infolist()
            _check_members(found)
            tables = [one for one in found if not one.is_dir() and one.filename.endswith((suffix, f"{suffix}.gz"))]
            if not tables:
                names = ", ".join(one.filename for one in found[:5])
                raise MlopsError(f"The data set has no file that ends in {suffix}; it has: {names or 'nothing'}.")
            return [_extract(members, one, folder / f"{number}{suffix}") for number, one in enumerate(tables)]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise MlopsError(f"What came is no ZIP archive that can be read: {error}.") from None


def _check_members(found: Sequence[zipfile.ZipInfo]) -> None:
    if len(found) > MOST_MEMBERS:
        raise MlopsError(f"The archive has {len(found):,} members, allowed are {MOST_MEMBERS:,}.")
    size = sum(one.file_size for one in found)
    swollen = next((one for one in found if one.file_size > (1 << 20) + MOST_RATIO * one.compress_size), None)
    if size > MOST_UNPACKED or swollen is not None:
        name = swollen.filename if swollen else "it"
        raise MlopsError(f"The archive becomes {size:,} bytes, and {name!r} is packed beyond measure: a bomb?")


def _extract(members: zipfile.ZipFile, one: zipfile.ZipInfo, target: Path) -> Path:
    # under a name of ours: that of a member may lead anywhere
    left = one.file_size
    with members.open(one) as source, target.open("wb") as file:
        shutil.copyfileobj(_Bounded(source, left), file, PIECE)
    return target


class _Bounded:
    """Reads no more than a member said that it has."""

    def __init__(self, source: object, most: int) -> None:
        self._source = source
        self._left = most

    def read(self, size: int = -1) -> bytes:
        piece: bytes = self._source.read(size)  # type: ignore[attr-defined]  # a file
        self._left -= len(piece)
        if self._left < 0:
            raise MlopsError("A member of the archive is larger than it says.")
        return piece
