"""What AWS refuses, in a sentence for people."""

from __future__ import annotations

from mlops_assets.errors import MlopsError


class PlatformError(MlopsError):
    """A platform does not start the job of a day, or ends it before its time."""


WORDS = {
    "finds no credentials: set them in the environment of the process that runs, or give it a role": (
        "NoCredentialsError",
        "PartialCredentialsError",
    ),
    "needs a region: name it under `region`, or in AWS_REGION": ("NoRegionError",),
    "does not answer: look at the network, then run again": (
        "EndpointConnectionError",
        "ConnectTimeoutError",
        "ReadTimeoutError",
        "ConnectionClosedError",
        "ServiceUnavailableException",
        "InternalServerException",
    ),
    "denies access: let the role of the Dagster process do it; docs/platforms.md has the policy": (
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
        "InvalidSignatureException",
    ),
    "says that the credentials have expired or are none: get new ones": (
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
    ),
    "asks for fewer requests: run again later": (
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
    ),
    "has no room for another job: wait for one to end, or raise its limit": (
        "ConcurrentRunsExceededException",
        "ServiceQuotaExceededException",
        "ResourceNumberLimitExceededException",
        "LimitExceededException",
    ),
    "does not know what `scale.client` names": (
        "ResourceNotFoundException",
        "EntityNotFoundException",
        "ClusterNotFoundException",
        "NoSuchBucket",
    ),
}
"""What is told, and the names of errors and codes for which it is."""

TOLD = {name: words for words, names in WORDS.items() for name in names}

OF_S3 = ("PutObject", "GetObject", "DeleteObject", "ListObjectsV2")
"""Calls by which a run talks with its job."""

LONGEST = 300
"""Signs of a reason that AWS gives."""


def told_of_aws(platform: str, error: Exception) -> str:
    """What an error of botocore means.

    Parameters
    ----------
    platform
        What people call it, such as `EMR Serverless`.
    error
        A `ClientError` or another error of botocore.

    Examples
    --------
    >>> told_of_aws("Glue", type("NoRegionError", (Exception,), {})())
    'Glue needs a region: name it under `region`, or in AWS_REGION.'
    """
    said = getattr(error, "response", {}).get("Error", {})
    name = str(said.get("Code") or type(error).__name__)
    # what a job says goes through S3: an error of that is none of the platform
    platform = "S3" if getattr(error, "operation_name", "") in OF_S3 else platform
    reason = " ".join(str(said.get("Message") or error).split())[:LONGEST].rstrip(".")
    words = TOLD.get(name, "refuses the job")
    exact = reason if said and name not in ("AccessDenied", "AccessDeniedException") else ""
    return f"{platform} {words}{f' ({name}: {exact})' if exact else ''}."
