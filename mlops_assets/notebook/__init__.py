"""What a notebook needs: days, training sets, versions, reasons and diffs as frames, and a way for own models."""

from mlops_assets.notebook.days import features_sql, load_day, load_days, load_drift, load_profile
from mlops_assets.notebook.models import (
    Diff,
    Why,
    diff,
    load_candidates,
    load_training_rows,
    load_training_sets,
    load_versions,
    why,
)
from mlops_assets.notebook.own import (
    TRUSTED_TYPES,
    Data,
    Rows,
    load_training_set,
    log_model,
    register,
    rows_of,
    use_mlflow,
)

__all__ = [
    "TRUSTED_TYPES",
    "Data",
    "Diff",
    "Rows",
    "Why",
    "diff",
    "features_sql",
    "load_candidates",
    "load_day",
    "load_days",
    "load_drift",
    "load_profile",
    "load_training_rows",
    "load_training_set",
    "load_training_sets",
    "load_versions",
    "log_model",
    "register",
    "rows_of",
    "use_mlflow",
    "why",
]
