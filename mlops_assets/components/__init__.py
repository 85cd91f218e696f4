"""Components that draw Dagster's graph of a use case."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlops_assets.components.ml_use_case import MlUseCase

__all__ = ["MlUseCase"]


def __getattr__(name: str) -> Any:
    """Load the component when it is asked for: Dagster's daemon needs `private` alone, for its launcher."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mlops_assets.components.ml_use_case import MlUseCase

    return MlUseCase


def __dir__() -> list[str]:
    """The names that `dg` finds."""
    return [*globals(), *__all__]
