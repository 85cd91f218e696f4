"""A root with nothing in it but the system's libraries, Python, some packages and one folder, which is read-only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

SCRIPT = """
root=$(mktemp -d)
mount -t tmpfs root "$root"
packages=$1 version=$2 base=$3
shift 3
for folder in /usr /lib /lib64 /bin "$base"; do
    if [ -L "$folder" ]; then ln -s "$(readlink "$folder")" "$root$folder"
    elif [ -e "$folder" ]; then mkdir -p "$root$folder"; mount --bind "$folder" "$root$folder"; fi
done
mkdir -p "$root/version" "$root/tmp" "$root/dev"
mount --bind "$packages" "$root$base/lib/python%s/site-packages"
mount --bind "$version" "$root/version"
mount -o remount,bind,ro "$root/version"
mount --bind /dev "$root/dev"
exec chroot "$root" env -i PATH=/usr/bin:/bin HOME=/tmp PYTHON="$base/bin/python%s" PYTHONHOME="$base" "$@"
"""


def need_namespaces() -> None:
    """Skip a test where a mount namespace cannot be had."""
    done = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    if done.returncode or os.geteuid():
        pytest.skip("a root of its own needs the rights of root, and `unshare`")


def lay_out(requirements: Path, folder: Path) -> Path:
    """The packages that a `requirements.txt` names, and no other, as an installer would lay them out."""
    for line in requirements.read_text(encoding="utf-8").split():
        package = distribution(line.partition("==")[0])
        for file in package.files or ():
            source, target = Path(str(package.locate_file(file))), folder / file
            if ".." in file.parts or "__pycache__" in file.parts or target.exists() or not source.is_file():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                target.hardlink_to(source)
            except OSError:  # another disk
                shutil.copy2(source, target)
    return folder


def start_in(packages: Path, version: Path, *command: str, **more: object) -> subprocess.Popen[bytes]:
    """Start a command in such a root, in which the folder is `/version`."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    given = [str(packages), str(version), sys.base_prefix, *command]
    script = SCRIPT % (python, python)
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", *given], **more
    )
