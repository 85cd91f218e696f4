"""What a class of a user's own must look like, kind by kind, and how it is found by its import path and checked."""

from mlops_assets.plugins.loading import (
    PluginError,
    check_plugin,
    implements,
    import_object,
    load_plugin,
    plugin_modules,
)
from mlops_assets.plugins.records import BadRecord, FileRefused, NotAttached, Noticed, RawFile, Record, RecordReader

__all__ = [
    "BadRecord",
    "FileRefused",
    "NotAttached",
    "Noticed",
    "PluginError",
    "RawFile",
    "Record",
    "RecordReader",
    "check_plugin",
    "implements",
    "import_object",
    "load_plugin",
    "plugin_modules",
]
