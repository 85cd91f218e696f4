"""The shapes of answers of the V2 inference protocol, for the schema."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Server(BaseModel):
    """The server, as the V2 protocol describes it."""

    name: str
    version: str
    extensions: list[str]


class ServerLive(BaseModel):
    """That the server lives."""

    live: bool


class ServerReady(BaseModel):
    """That the server can answer."""

    ready: bool


class _OfModel(BaseModel):
    model_config = ConfigDict(protected_namespaces=())


class ModelReady(_OfModel):
    """That a model answers."""

    name: str
    ready: bool


class Tensor(_OfModel):
    """An input or an output, as the V2 protocol describes it."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] | None = None


class ModelMetadata(_OfModel):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[Tensor]
    outputs: list[Tensor]


class TensorValues(Tensor):
    """An output with its values; those that are bytes stand behind the JSON."""

    data: list[Any] | None = None


class Inferred(_OfModel):
    """What a model answers."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[TensorValues]
