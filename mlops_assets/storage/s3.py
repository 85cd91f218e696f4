"""Requests to an S3 server: by which address and credentials, how often again, and what is said when they fail.

Credentials come from the usual AWS environment only: keys, a profile, a web identity, the role of a container or
machine. `S3_ENDPOINT_URL` names another server than Amazon's. A process that forks must not have made a client before:
clients run threads.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import S3Error, UsageError
from mlops_assets.errors.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

    import pyarrow as pa
    from obstore.store import S3Store

PAGE = 1_000
"""Keys that a server names at a time."""
ENDPOINTS = ("S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")  # the first that is set counts
REMEDIES = {
    "NoSuchBucket": "there is no such bucket: make it, or correct the name",
    "AccessDenied": "access is denied: these credentials must be allowed to list, read and write there",
    "InvalidAccessKeyId": "the server does not know the access key: look at AWS_ACCESS_KEY_ID or AWS_PROFILE",
    "SignatureDoesNotMatch": "the secret key is wrong: look at AWS_SECRET_ACCESS_KEY or AWS_PROFILE",
    "ExpiredToken": "the credentials have expired: get new ones",
    "InvalidToken": "the session token is not valid: look at AWS_SESSION_TOKEN",
    "TokenRefreshRequired": "the credentials have expired: get new ones",
    "RequestTimeTooSkewed": "the clock of this machine differs from the server's: set it right",
    "SlowDown": "the server asks for fewer requests, and did so to the end of our patience: run again later",
    "PermanentRedirect": "the bucket lies in another region: name it in AWS_REGION",
    "AuthorizationHeaderMalformed": "the bucket lies in another region: name it in AWS_REGION",
    "EntityTooLarge": "the object is too large for the server",
    "QuotaExceeded": "there is no room left: the quota is used up",
}
"""Codes of S3's errors, and what is told of them."""

STATUSES = {
    "403": REMEDIES["AccessDenied"],
    "301": REMEDIES["PermanentRedirect"],
    "429": REMEDIES["SlowDown"],
    "503": REMEDIES["SlowDown"],
}
"""The same for answers without a code."""

CREDENTIALS = re.compile(r"credential|169\.254\.169\.254", re.IGNORECASE)
BROKEN_OFF = re.compile(
    r"error sending request|error decoding|body error|connect|timed? ?out|dns error|reset|closed", re.IGNORECASE
)
CUT_OFF = re.compile(r"error decoding|error reading|body|incomplete|closed", re.IGNORECASE)
BREAKS = 5
"""How often the answer to one request may break off."""
AGAIN = "What was finished is kept: run again when it answers"


def endpoint() -> str | None:
    """Address of the server, None for Amazon's own.

    Raises
    ------
    UsageError
        If it is no address.
    """
    url = next((value for name in ENDPOINTS if (value := os.environ.get(name))), None)
    if url and not re.match(r"https?://[^/]+", url):
        raise UsageError(f"S3_ENDPOINT_URL={url}: write an address such as http://127.0.0.1:9000.")
    return url


def patience() -> float:
    """Seconds for which a request is tried again (`MLOPS_S3_PATIENCE`).

    Raises
    ------
    UsageError
        If it is no number.
    """
    text = os.environ.get("MLOPS_S3_PATIENCE") or "60"
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= 240:  # a request is signed once, and the signature does not last
        raise UsageError(f"MLOPS_S3_PATIENCE={text}: give a number of seconds up to 240, such as 60.")
    return seconds


def storage_options() -> dict[str, str]:
    """What deltalake is told of the server; its credentials it finds itself, but for those in AWS's files."""
    options = {
        "retry_timeout": f"{patience():g}s",
        # the time is the limit, not the number: a server that is restarted is waited for
        "max_retries": "1000",
        "backoff_config.max_backoff": "2s",
        "timeout": "120s",
    }
    if (url := endpoint()) is not None:
        options["aws_endpoint_url"] = url
        options["aws_allow_http"] = str(url.startswith("http://")).lower()
    if _has_profile():
        need_boto3()
        from boto3 import Session

        if (credentials := Session().get_credentials()) is not None:
            keys = credentials.get_frozen_credentials()
            named = {
                "access_key_id": keys.access_key,
                "secret_access_key": keys.secret_key,
                "session_token": keys.token,
            }
            options |= {f"aws_{name}": value for name, value in named.items() if value}
    return options


def need_boto3() -> None:
    """See that boto3 is installed: MLflow's artifacts on S3, queues and the profiles in AWS's files need it.

    Raises
    ------
    UsageError
        If it is not.
    """
    try:
        import boto3  # noqa: F401 - whether it can be
    except ModuleNotFoundError:
        raise UsageError(
            "MLflow's artifacts on S3, queues and profiles of AWS need boto3: pip install 'mlops-assets[s3]' brings it."
        ) from None


def tell_mlflow() -> None:
    """Let MLflow's own client find the same server, and keep silent; it is told by the environment alone."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    if (url := endpoint()) is not None:
        os.environ.setdefault("MLFLOW_S3_ENDPOINT_URL", url)


@cache
def store(bucket: str) -> S3Store:
    """The client of a bucket, one a process."""
    from obstore.store import S3Store

    url = endpoint()
    options: dict[str, Any] = {"endpoint": url} if url else {}
    if _has_profile():
        need_boto3()
        from obstore.auth.boto3 import Boto3CredentialProvider

        options["credential_provider"] = Boto3CredentialProvider()
    return S3Store(
        bucket,
        **options,
        client_options={"allow_http": bool(url and url.startswith("http://")), "timeout": "120s"},
        retry_config={
            "max_retries": 1000,
            "retry_timeout": timedelta(seconds=patience()),
            "backoff": {"max_backoff": timedelta(seconds=2)},
        },
    )


def _has_profile() -> bool:
    """Whether credentials are in AWS's files, which the store cannot read by itself; variables come first, as usual."""
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return False
    files = {"AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials", "AWS_CONFIG_FILE": "~/.aws/config"}
    has_files = any(Path(os.environ.get(name) or default).expanduser().exists() for name, default in files.items())
    return has_files or bool(os.environ.get("AWS_PROFILE"))


@contextmanager
def telling(location: str) -> Iterator[None]:
    """Turn what goes wrong with a request into an error for people.

    Parameters
    ----------
    location
        What the request is about.

    Raises
    ------
    FileNotFoundError
        If there is no such object.
    S3Error
        If the server cannot be reached, or refuses.
    """
    from obstore.exceptions import BaseError

    try:
        yield
    except (FileNotFoundError, FileExistsError) as error:
        if "NoSuchBucket" in str(error):
            raise S3Error(f"{location}: {REMEDIES['NoSuchBucket']}.") from None
        raise
    except (BaseError, OSError) as error:  # the one from obstore, the other from deltalake
        raise S3Error(f"{location}: {_why(str(error))}.") from None


def _why(text: str) -> str:
    """What an answer means, in words; the library's own account of it is long, and names addresses."""
    text = redacted(re.sub(r"\x1b\[\d+m", "", text.partition("\n\nDebug")[0]))  # before it is cut: half a secret is one
    if answer := _answer(text):
        return answer
    if "invalid path" in text:
        key = " ".join(text.rpartition("invalid path: ")[2].split())
        return f"a key there has no form that can be read ({key}): delete it or give it another name"
    if CREDENTIALS.search(text):
        return "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    if BROKEN_OFF.search(text):
        return f"{endpoint() or 'Amazon S3'} does not answer, or breaks off. {AGAIN}"
    return " ".join(text.split())[:300].rstrip(".")


def _answer(text: str) -> str:
    """What the server answered, by its code if that is known, else by its status; empty if it gave no answer."""
    # some servers send no code, some proxies in front of them only a status
    code, status = re.search(r"<Code>\s*(\w+)", text), re.search(r"\b([345]\d\d) [A-Z][a-z]+", text)
    answer = " ".join(part for part in (status and status[0], code and code[1]) if part)
    for given, remedies in ((code, REMEDIES), (status, STATUSES)):
        if given and given[1] in remedies:
            return f"{remedies[given[1]]} ({answer})"
    return f"the server answers {answer}. {AGAIN}" if answer else ""


def head(bucket: str, key: str) -> Any:
    """Size, time and ETag of an object; errors as `telling`."""
    import obstore

    with telling(_name(bucket, key)):
        return obstore.head(store(bucket), key)


def get(bucket: str, key: str, version: str | None = None) -> bytes:
    """An object.

    Parameters
    ----------
    bucket, key
        Which object.
    version
        Its ETag; without it, any version.

    Raises
    ------
    FileNotFoundError
        If there is none.
    Changed
        If it is not of that version.
    S3Error
        If the server cannot be reached, or refuses.
    """
    import obstore

    try:
        return bytes(obstore.get(store(bucket), key, options={"if_match": version} if version else None).bytes())
    except Exception:  # millions of objects are asked for, and what tells an error takes a sixth of that
        with telling(_name(bucket, key)), _same(bucket, key):
            raise


def get_end(bucket: str, key: str, most: int) -> tuple[bytes, int, str | None]:
    """The last bytes of an object, its size and its ETag; errors as `get`."""
    import obstore

    with telling(_name(bucket, key)):
        try:
            tail = obstore.get(store(bucket), key, options={"range": {"suffix": most}})
            return bytes(tail.bytes()), tail.meta["size"], tail.meta["e_tag"]
        except obstore.exceptions.GenericError as error:
            # no byte of an empty object can be asked for: some servers refuse, others send all there is
            if not re.search("416|non-partial", str(error)):
                raise
            whole = obstore.get(store(bucket), key)
            return bytes(whole.bytes()), whole.meta["size"], whole.meta["e_tag"]


def get_range(bucket: str, key: str, first: int, last: int, version: str | None) -> bytes:
    """The bytes of an object from one place up to another; errors as `get`."""
    import obstore

    options: Any = {"range": (first, last), **({"if_match": version} if version else {})}
    with telling(_name(bucket, key)), _same(bucket, key):
        return bytes(obstore.get(store(bucket), key, options=options).bytes())


class Changed(S3Error):
    """An object is no longer the one that was meant."""


@contextmanager
def _same(bucket: str, key: str) -> Iterator[None]:
    from obstore.exceptions import PreconditionError

    try:
        yield
    except PreconditionError:
        raise Changed(f"{_name(bucket, key)}: changed while it was read. Run again.") from None


def put(bucket: str, key: str, data: Buffer, *, only_new: bool = False) -> None:
    """Store an object in one request, so that it is there whole or not at all.

    Parameters
    ----------
    bucket, key, data
        What to store, and where.
    only_new
        Whether there must be none yet. Where an answer is lost and the request sent again, the server may refuse
        what it has stored itself: compare before believing it.

    Raises
    ------
    FileExistsError
        If there is one and there must not be.
    S3Error
        If the server cannot be reached, or refuses.
    """
    import obstore
    from obstore.exceptions import AlreadyExistsError

    with telling(_name(bucket, key)):
        try:
            obstore.put(store(bucket), key, data, mode="create" if only_new else "overwrite", use_multipart=False)
        except AlreadyExistsError:
            raise FileExistsError(_name(bucket, key)) from None


def listed(bucket: str, prefix: str, after: str = "") -> Iterator[pa.RecordBatch]:
    """Every object below a prefix, some at a time: `path`, `size`, `last_modified`, `e_tag`; errors as `telling`.

    Parameters
    ----------
    bucket, prefix
        Below what.
    after
        A key: only those that come behind it; they come in order.
    """
    import obstore
    import pyarrow as pa
    from obstore.exceptions import BaseError

    broken = 0
    while True:
        with telling(_name(bucket, prefix)):
            try:
                stream = obstore.list(
                    store(bucket), prefix or None, offset=after or None, chunk_size=PAGE, return_arrow=True
                )
                for chunk in stream:
                    batch = pa.record_batch(chunk)
                    yield batch
                    if len(batch):
                        after, broken = batch["path"][-1].as_py(), 0
                return
            except BaseError as error:  # the client sends a request again, but not for an answer that breaks off
                broken += 1
                if broken > BREAKS or not CUT_OFF.search(str(error)):
                    raise


def level(bucket: str, prefix: str) -> tuple[list[str], dict[str, int]]:
    """The prefixes one level below a prefix, and the keys of the objects there with their sizes."""
    import obstore
    from obstore.exceptions import BaseError

    with telling(_name(bucket, prefix)):
        # as in `listed`: the client does not ask again where an answer breaks off
        for broken in range(BREAKS + 1):
            try:
                listing = obstore.list_with_delimiter(store(bucket), prefix or None)
                break
            except BaseError as error:
                if broken == BREAKS or not CUT_OFF.search(str(error)):
                    raise
    return [*listing["common_prefixes"]], {entry["path"]: entry["size"] for entry in listing["objects"]}


def remove(bucket: str, keys: Iterable[str]) -> None:
    """Delete objects; those that are not there are no matter."""
    import obstore

    waiting = iter(keys)
    while some := list(islice(waiting, PAGE)):
        with telling(_name(bucket, some[0])):
            obstore.delete(store(bucket), some)


def _name(bucket: str, key: str) -> str:
    return f"s3://{bucket}/{key}"
