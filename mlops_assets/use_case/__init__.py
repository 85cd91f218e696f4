"""The typed configuration of a use case: what `defs.yaml` may say, checked key by key."""

from mlops_assets.use_case.attributes import Attributes, Scale, UseCase
from mlops_assets.use_case.drift import ColumnFloors, Drift, DriftDays, Floors
from mlops_assets.use_case.enrichments import Enrichment, HttpParameters, SqlParameters, TableParameters, Validity
from mlops_assets.use_case.files import Checks, Column, FileFormat, Import
from mlops_assets.use_case.loading import build_use_case, explained, find_use_case, list_use_cases, load_use_case
from mlops_assets.use_case.partitions import Partitions, back, date_of
from mlops_assets.use_case.promotion import Promotion
from mlops_assets.use_case.references import UnsetVariable, as_written, fill_environment, references, variables
from mlops_assets.use_case.scoring import Scoring
from mlops_assets.use_case.sensor import Messages, Sensor
from mlops_assets.use_case.serving import Limits, Serving
from mlops_assets.use_case.source import Origin
from mlops_assets.use_case.strict import METRICS, Share, Strict
from mlops_assets.use_case.targets import Delivering
from mlops_assets.use_case.told import Deadline, Told
from mlops_assets.use_case.training import Candidate, Feedback, Gate, Preparation, Retraining, Split, Step, Training

__all__ = [
    "METRICS",
    "Attributes",
    "Candidate",
    "Checks",
    "Column",
    "ColumnFloors",
    "Deadline",
    "Delivering",
    "Drift",
    "DriftDays",
    "Enrichment",
    "Feedback",
    "FileFormat",
    "Floors",
    "Gate",
    "HttpParameters",
    "Import",
    "Limits",
    "Messages",
    "Origin",
    "Partitions",
    "Preparation",
    "Promotion",
    "Retraining",
    "Scale",
    "Scoring",
    "Sensor",
    "Serving",
    "Share",
    "Split",
    "SqlParameters",
    "Step",
    "Strict",
    "TableParameters",
    "Told",
    "Training",
    "UnsetVariable",
    "UseCase",
    "Validity",
    "as_written",
    "back",
    "build_use_case",
    "date_of",
    "explained",
    "fill_environment",
    "find_use_case",
    "list_use_cases",
    "load_use_case",
    "references",
    "variables",
]
