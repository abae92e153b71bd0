"""Arrow's rarer types (runs, views, extensions) as those that columns are read from."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from pyarrow import types


def plain_array(array: Any) -> Any:
    """An Arrow array, or a chunked one, without the types that NumPy cannot be given."""
    if not isinstance(array, pa.ChunkedArray):
        return _plain(array)
    chunks = [_plain(chunk) for chunk in array.chunks]
    same = all(new is old for new, old in zip(chunks, array.chunks, strict=True))
    return array if same else pa.chunked_array(chunks)


def _plain(chunk: Any) -> Any:
    kind = chunk.type
    if types.is_run_end_encoded(kind):
        import pyarrow.compute as pc

        return _plain(pc.run_end_decode(chunk))
    if types.is_dictionary(kind) and types.is_string_view(kind.value_type):
        words = chunk.dictionary.cast(pa.large_string())  # polars' Categorical and Enum
        return pa.DictionaryArray.from_arrays(chunk.indices.cast(pa.int64()), words)
    if isinstance(kind, pa.BaseExtensionType):
        name = getattr(kind, "extension_name", "")
        if name == "arrow.bool8":
            return chunk.storage.cast(pa.bool_())
        if name == "arrow.fixed_shape_tensor":
            return chunk.storage  # its lists, whatever shape they stand for
    return chunk
