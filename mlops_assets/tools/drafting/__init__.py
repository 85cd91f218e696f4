"""A table that somebody has becomes the folder of a new use case: what it says is guessed, and shown to be checked."""

from mlops_assets.tools.drafting.drafts import Draft, draft_use_case

__all__ = ["Draft", "draft_use_case"]
