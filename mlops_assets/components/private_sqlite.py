"""What we use of Dagster's storage in SQLite that may change without notice; beside `private`, for it needs SQLAlchemy.

The same holds here: all of it is imported here, and each says what for.
"""

# The event log, whose connections are kept, and how long one waits while another process writes.
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS

# The storage that it is a part of.
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

__all__ = ["SQLITE_BUSY_TIMEOUT_SECONDS", "DagsterSqliteStorage", "SqliteEventLogStorage"]
