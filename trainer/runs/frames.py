"""Messages of an Arrow IPC stream that anybody may have written, each looked at before it is read.

Arrow allocates what a message asks for, and one flipped bit asks for gigabytes. So the lengths are
compared with the file first. Layout:
https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa

_MARK = 0xFFFFFFFF  # before each message
_LONGEST_METADATA = 1 << 20
# Slots of the flatbuffers: https://github.com/apache/arrow/blob/main/format/Message.fbs
_HEADER_TYPE, _HEADER, _BODY_LENGTH = 1, 2, 3
_COMPRESSION = 3
_RECORD_BATCH = 3


def record_batches(file: BinaryIO, schema: pa.Schema, most: int) -> Iterator[pa.RecordBatch]:
    """The whole record batches of a stream, up to where it ends, is cut short or is damaged.

    Args:
        file: opened to read bytes, at its start.
        schema: of numbers without nulls, which the stream must have.
        most: bytes of a batch for which there is memory.

    Raises:
        ValueError: the stream has another schema.
    """
    try:
        found = _next(file, most)
        if found is None:
            return
        if not pa.ipc.read_schema(pa.py_buffer(found)).equals(schema):
            raise ValueError("its columns are not those of a log of steps")
        while (found := _next(file, most)) is not None:
            batch = pa.ipc.read_record_batch(pa.ipc.read_message(pa.py_buffer(found)), schema)
            batch.validate(full=True)
            if any(column.null_count for column in batch.columns):
                return
            yield batch
    except (pa.ArrowException, OSError, struct.error):  # Arrow raises OSError for what is damaged
        return


def first_schema(file: BinaryIO, most: int) -> pa.Schema | None:
    """The schema that a stream begins with; None where there is none that can be read."""
    try:
        found = _next(file, most)
        return None if found is None else pa.ipc.read_schema(pa.py_buffer(found))
    except (pa.ArrowException, OSError, struct.error):
        return None


def _next(file: BinaryIO, most: int) -> bytes | None:
    """The next message's bytes; None where no whole one is left, or it cannot be one of ours."""
    start, size = file.tell(), os.fstat(file.fileno()).st_size
    head = file.read(8)
    if len(head) < 8:
        return None
    mark, length = struct.unpack("<Ii", head)
    if mark != _MARK or not 0 < length <= _LONGEST_METADATA:  # 0 ends a stream
        return None
    body = _body_length(file.read(length))
    total = 8 + length + body
    if body < 0 or start + total > size or total > most:
        return None
    file.seek(start)
    return file.read(total)


def _body_length(metadata: bytes) -> int:
    """Bytes of a message's body; −1 where it is packed, which ours never are."""
    message = struct.unpack_from("<I", metadata)[0]
    at = _slot(metadata, message, _BODY_LENGTH)
    kind, header = (_slot(metadata, message, slot) for slot in (_HEADER_TYPE, _HEADER))
    if kind is not None and header is not None and metadata[kind] == _RECORD_BATCH:
        batch = header + struct.unpack_from("<I", metadata, header)[0]
        if _slot(metadata, batch, _COMPRESSION) is not None:
            return -1
    return 0 if at is None else int(struct.unpack_from("<q", metadata, at)[0])


def _slot(buffer: bytes, table: int, number: int) -> int | None:
    """Where a field of a flatbuffer's table lies; None where the table does not have it."""
    vtable = table - struct.unpack_from("<i", buffer, table)[0]
    (size,) = struct.unpack_from("<H", buffer, vtable)
    if 4 + 2 * number >= size:
        return None
    (offset,) = struct.unpack_from("<H", buffer, vtable + 4 + 2 * number)
    place = table + int(offset)
    if offset and place >= len(buffer):
        raise struct.error("a field outside its message")
    return place if offset else None
