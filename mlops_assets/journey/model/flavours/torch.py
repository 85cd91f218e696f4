"""PyTorch: the weights as safetensors, which hold no code; the network is a class of the use case's own module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from mlops_assets.journey.model.flavours.flavour import Asked, Flavour, Shape, imported, see_places
from mlops_assets.journey.model.flavours.safetensors_file import Tensor, numbers_of, read_safetensors
from mlops_assets.journey.model.structure.parts import Malformed

FACTS = {"module", "parameters", "places"}

TYPES = {
    "torch.float64": "F64",
    "torch.float32": "F32",
    "torch.float16": "F16",
    "torch.bfloat16": "BF16",
    "torch.int64": "I64",
    "torch.int32": "I32",
    "torch.int16": "I16",
    "torch.int8": "I8",
    "torch.uint8": "U8",
    "torch.bool": "BOOL",
}
"""What safetensors calls the types of PyTorch."""


class Torch(Flavour):
    """See `Flavour`."""

    name: ClassVar[str] = "torch"
    suffix: ClassVar[str] = "safetensors"
    module: ClassVar[str] = "torch"
    distributions: ClassVar[tuple[str, ...]] = ("torch",)
    mlflow: ClassVar[str] = "pytorch"
    logged_in: ClassVar[str] = "extra_files/"
    owns: ClassVar[tuple[str, ...]] = ("mlops_assets.estimators.TorchClassifier",)

    def save(self, estimator: Any) -> tuple[bytes, Shape]:
        """See `Flavour.save`."""
        state = {name: tensor.detach().contiguous() for name, tensor in estimator.network_.state_dict().items()}
        content: bytes = imported("safetensors.torch", self.name).save(_apart(state))
        places = list(range(len(estimator.classes_)))
        facts = {"module": estimator.module, "parameters": dict(estimator.parameters or {}), "places": places}
        return content, Shape("classifier", estimator.n_features_in_, np.asarray(estimator.classes_), facts)

    def imports(self, shape: Shape) -> tuple[str, ...]:
        """See `Flavour.imports`."""
        module = shape.facts.get("module")
        return (module,) if isinstance(module, str) else ()

    def check(self, content: bytes, shape: Shape) -> None:
        """See `Flavour.check`."""
        module, parameters = shape.facts.get("module"), shape.facts.get("parameters")
        if set(shape.facts) != FACTS or not isinstance(module, str) or not isinstance(parameters, dict):
            raise Malformed("what is told beside it is not what is written here")
        see_places(shape.facts["places"], shape.outputs)
        read_safetensors(content)

    def logged_file(self, told: Mapping[str, Any]) -> str:
        """Weights that were logged beside the pickle or graph of `mlflow.pytorch.log_model`."""
        beside = told.get("extra_files")
        paths = [str(one.get("path")) for one in beside if isinstance(one, dict)] if isinstance(beside, list) else []
        weights = [path for path in paths if path.endswith(f".{self.suffix}")]
        if len(weights) != 1:
            raise ValueError(
                "it is stored as a pickle, which runs code when it is loaded, or as a graph; weights alone are taken. "
                'Save them by safetensors.torch.save_file(model.state_dict(), "net.safetensors") and register that '
                'file, or log the model with extra_files=["net.safetensors"]; or export it as ONNX'
            )
        return weights[0]

    def load(self, content: bytes, shape: Shape) -> Asked:
        """See `Flavour.load`."""
        from mlops_assets.estimators import make_network

        tensors = read_safetensors(content)
        network = make_network(shape.facts["module"], shape.features, shape.outputs, shape.facts["parameters"])
        see_state(tensors, network.state_dict(), shape.facts["module"])
        # by the places that were checked, and not read once more by another reader
        network.load_state_dict(_state(self.library(), content, tensors), strict=True)
        return Network(network.double().eval(), shape.facts["places"])


def _state(library: Any, content: bytes, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The weights in a file that was checked."""
    types = {kind: getattr(library, name.removeprefix("torch.")) for name, kind in TYPES.items()}
    start, state = numbers_of(content), {}
    for name, tensor in tensors.items():
        stored = bytearray(content[start + tensor.begin : start + tensor.end])
        kind = types[tensor.type]
        values = library.frombuffer(stored, dtype=kind) if stored else library.empty(0, dtype=kind)
        state[name] = values.reshape(tensor.shape)
    return state


def _apart(state: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors that share their memory, each for itself: a file holds no number twice under two names."""
    seen: set[int] = set()
    apart = {}
    for name, tensor in state.items():
        apart[name] = tensor.clone() if tensor.data_ptr() in seen else tensor
        seen.add(tensor.data_ptr())
    return apart


def see_state(tensors: Mapping[str, Tensor], state: Mapping[str, Any], module: str) -> None:
    """See that a file has the weights of a network, and no others.

    Parameters
    ----------
    tensors
        What the file has.
    state
        The weights that the network asks for, by name.
    module
        The network, for the message.

    Raises
    ------
    Malformed
        If one is missing, there is another one, or one has another shape or type; it is named.
    """
    if missing := [name for name in state if name not in tensors]:
        raise Malformed(f"it lacks {', '.join(map(ascii, missing[:5]))}, which {module} has{_more(missing)}")
    if further := [name for name in tensors if name not in state]:
        raise Malformed(f"it has {', '.join(map(ascii, further[:5]))}, which {module} does not know{_more(further)}")
    for name, wanted in state.items():
        tensor, kind = tensors[name], TYPES.get(str(wanted.dtype), str(wanted.dtype))
        if tensor.shape != tuple(wanted.shape):
            raise Malformed(
                f"{name!a} has the shape {_sizes(tensor.shape)}; that of {module} is {_sizes(wanted.shape)}"
            )
        if tensor.type != kind:
            raise Malformed(f"{name!a} is of the type {tensor.type}; that of {module} is {kind}")


def _more(names: list[str]) -> str:
    return f" (and {len(names) - 5:,} more)" if len(names) > 5 else ""


def _sizes(shape: Any) -> str:
    return " x ".join(map(str, shape)) or "of one number"


class Network:
    """A network with its weights.

    Parameters
    ----------
    network
        In double precision, in the mode of evaluation.
    places
        Where among what it says each class stands, in order.
    """

    def __init__(self, network: Any, places: Sequence[int]) -> None:
        self._network, self._places = network, list(places)

    def predict(self, matrix: Any) -> np.ndarray:
        """See `flavour.Asked`."""
        from mlops_assets.estimators import ask_network

        if not matrix.shape[0]:
            return np.zeros((0, len(self._places)))
        said = ask_network(self._network, matrix)
        if said.shape[1] != len(self._places):
            raise ValueError(f"the network says {said.shape[1]} classes; there are {len(self._places)}")
        in_order: np.ndarray = said[:, self._places]
        return in_order

    def contributions(self, matrix: Any) -> np.ndarray | None:  # noqa: ARG002 - a network does not add up columns
        """See `flavour.Asked`."""
        return None
