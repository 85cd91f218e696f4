"""Three releases, one after the other."""

from __future__ import annotations

from deploy.rollout import Release

OLD, NEW, NEXT = (Release(f"ghcr.io/owner/name@sha256:{name * 64}", name) for name in "abc")
