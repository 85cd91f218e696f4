"""The messages of an ONNX file, by the numbers of their fields, as onnx.proto of the ONNX project names them."""

from __future__ import annotations

from mlops_assets.journey.model.flavours.protobuf import Schema

_WRITTEN = {
    "Model": "1 ir_version int, 2 producer_name bytes, 3 producer_version bytes, 4 domain bytes, 5 model_version int,"
    "6 doc_string bytes, 7 graph Graph, 8 opset_import Opset*, 14 metadata_props Entry*, 20 training_info content*,"
    "25 functions Function*, 26 configuration content*",
    "Graph": "1 node Node*, 2 name bytes, 5 initializer Tensor*, 10 doc_string bytes, 11 input Value*,"
    "12 output Value*, 13 value_info Value*, 14 quantization_annotation Annotation*, 15 sparse_initializer content*,"
    "16 metadata_props Entry*",
    "Node": "1 input bytes*, 2 output bytes*, 3 name bytes, 4 op_type bytes, 5 attribute Attribute*,"
    "6 doc_string bytes, 7 domain bytes, 8 overload bytes, 9 metadata_props Entry*, 10 device_configurations content*",
    "Attribute": "1 name bytes, 2 f float, 3 i int, 4 s bytes, 5 t Tensor, 6 g Graph, 7 floats float*, 8 ints int*,"
    "9 strings bytes*, 10 tensors Tensor*, 11 graphs Graph*, 13 doc_string bytes, 14 tp Type, 15 type_protos Type*,"
    "20 type int, 21 ref_attr_name bytes, 22 sparse_tensor content, 23 sparse_tensors content*",
    "Tensor": "1 dims int*, 2 data_type int, 3 segment content, 4 float_data float*, 5 int32_data int*,"
    "6 string_data bytes*, 7 int64_data int*, 8 name bytes, 9 raw_data content, 10 double_data double*,"
    "11 uint64_data int*, 12 doc_string bytes, 13 external_data content*, 14 data_location int,"
    "16 metadata_props Entry*",
    "Function": "1 name bytes, 4 input bytes*, 5 output bytes*, 6 attribute bytes*, 7 node Node*, 8 doc_string bytes,"
    "9 opset_import Opset*, 10 domain bytes, 11 attribute_proto Attribute*, 12 value_info Value*, 13 overload bytes,"
    "14 metadata_props Entry*",
    "Opset": "1 domain bytes, 2 version int",
    "Entry": "1 key bytes, 2 value bytes",
    "Value": "1 name bytes, 2 type Type, 3 doc_string bytes, 4 metadata_props Entry*",
    "Annotation": "1 tensor_name bytes, 2 quant_parameter_tensor_names Entry*",
    "Type": "1 tensor_type TensorType, 4 sequence_type Element, 5 map_type Map, 6 denotation bytes,"
    "7 opaque_type content, 8 sparse_tensor_type content, 9 optional_type Element",
    "TensorType": "1 elem_type int, 2 shape Shape",
    "Element": "1 elem_type Type",
    "Map": "1 key_type int, 2 value_type Type",
    "Shape": "1 dim Dimension*",
    "Dimension": "1 dim_value int, 2 dim_param bytes, 3 denotation bytes",
}


def _fields(written: str) -> dict[int, tuple[str, str, bool]]:
    """What a line above says, by number."""
    fields = [field.split() for field in written.split(",")]
    return {int(number): (name, holds.rstrip("*"), holds.endswith("*")) for number, name, holds in fields}


SCHEMA: Schema = {kind: _fields(written) for kind, written in _WRITTEN.items()}
"""See `protobuf.Schema`. What is refused where it stands is `content`, and nobody looks into it."""

SIZES = {
    **dict.fromkeys((1, 6, 12), 4),  # float, int32, uint32
    **dict.fromkeys((2, 3, 9, 17, 18, 19, 20, 24), 1),  # uint8, int8, bool, the kinds of float8
    **dict.fromkeys((4, 5, 10, 16), 2),  # uint16, int16, float16, bfloat16
    **dict.fromkeys((7, 11, 13, 14), 8),  # int64, double, uint64, complex64
    15: 16,  # complex128
}
"""Bytes of an element, by the number of its type."""

STRING = 8
"""The type of texts, whose elements have no such size."""

NAMES = {1: "float", 6: "int32", 7: "int64", 8: "string", 9: "bool", 10: "float16", 11: "double"}
"""Names of the types that columns and answers have."""
