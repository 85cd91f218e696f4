"""The V2 inference protocol: tensors as files, and what became of them as tensors."""
