"""The errors that are meant for people: each says what is wrong, where, and what to do."""

from __future__ import annotations

from mlops_assets.errors.redaction import redacted


class MlopsError(Exception):
    """The work failed for a reason that a person can act on; its message is shown without a traceback.

    Wherever it is shown or stored it holds no secret of the environment, also where it quotes what a library says.
    """

    def __str__(self) -> str:
        return redacted(super().__str__())


class ConfigError(MlopsError):
    """A use case is configured wrongly; the message names file, line and key."""


class UsageError(MlopsError):
    """A command was given something it cannot work with: an unknown use case, a day that is not one."""


class LakeError(MlopsError):
    """A table cannot be read or written."""


class S3Error(MlopsError):
    """An S3 server cannot be reached, or refuses what it is asked."""


class PublishConflict(LakeError):
    """Another run published the same day while this one was working on it; nothing of this one was published."""


class ModelRefused(MlopsError):
    """A stored model does not match its registered hash, or holds a type that is not on the allow-list."""


class ShardFailed(MlopsError):
    """A shard could not be finished; the shards that were finished are kept for the next run."""


def cannot_be_used(path: object, reason: object) -> str:
    """What people are told of a place of the disk, such as a home that is a file or read-only."""
    return f"{path}: cannot be read or written: {reason}. Give access, make room, or name another place."
