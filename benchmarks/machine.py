"""What the page says of the machine: no names, no paths."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

PACKAGES = (
    "dagster",
    "duckdb",
    "pyarrow",
    "scikit-learn",
    "skops",
    "numpy",
    "deltalake",
    "pandas",
    "polars",
    "pyspark",
)


def describe(cores: Sequence[int]) -> dict[str, str]:
    """The machine and the versions of what ran on it.

    Parameters
    ----------
    cores
        The cores that were used.
    """
    return {
        "processor": _processor(),
        "cores": f"{len(cores)} used of {os.cpu_count()}",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release().partition('-')[0]} {platform.machine()}",
        "Python": platform.python_version(),
        "Java": _java(),
        **{name: found for name in PACKAGES if (found := _version(name))},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or "unknown"


def _java() -> str:
    try:
        told = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError):
        return "none"
    return told.partition('"')[2].partition('"')[0]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
