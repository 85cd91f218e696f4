"""Components that draw Dagster's graph of a use case."""

from mlops_assets.components.ml_use_case import MlUseCase

__all__ = ["MlUseCase"]
