"""A log of steps that anybody may have written: read up to its damage, never past the memory."""

import contextlib
import io
import struct
import sys
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pytest

from trainer.runs.frames import record_batches
from trainer.runs.step_log import SCHEMA, read_stream

MOST = 1 << 30


def stream(schema=SCHEMA, batches=3, **options):
    sink = io.BytesIO()
    arrays = [pa.array(np.arange(5)).cast(field.type) for field in schema]
    with pa.ipc.new_stream(
        sink, schema, options=pa.ipc.IpcWriteOptions(**options) if options else None
    ) as out:
        for _ in range(batches):
            out.write_batch(pa.record_batch(arrays, schema=schema))
    return sink.getvalue()


def rows(tmp_path, data, most=MOST):
    (tmp_path / "s").write_bytes(data)
    with (tmp_path / "s").open("rb") as file:
        return sum(batch.num_rows for batch in record_batches(file, SCHEMA, most))


def test_whole_batches_are_read(tmp_path):
    assert rows(tmp_path, stream()) == 15
    assert rows(tmp_path, b"") == 0
    assert read_stream(tmp_path / "s").num_rows == 0


def test_a_packed_stream_is_none_of_ours(tmp_path):
    assert rows(tmp_path, stream(compression="zstd")) == 0


def test_a_batch_larger_than_the_memory_ends_it(tmp_path):
    assert rows(tmp_path, stream(), most=500) == 0


@pytest.mark.parametrize("other", [pa.string(), pa.float64(), pa.int64()])
def test_other_columns_are_refused(tmp_path, other):
    schema = SCHEMA.set(5, pa.field("error_rms", other, nullable=False))
    with pytest.raises(ValueError, match="its columns are not those of a log of steps"):
        rows(tmp_path, stream(schema))


@pytest.mark.skipif(sys.platform != "linux", reason="limits the addresses of a process")
def test_no_length_that_it_tells_is_believed(tmp_path):
    """Each word of each message's metadata replaced: an allocation of gigabytes would fail."""
    import resource

    whole = stream(batches=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), hard))
    counts = set()
    try:
        start = 0
        while 0 <= start < len(whole) - 8:
            length = struct.unpack_from("<i", whole, start + 4)[0]
            for at in range(start, start + 8 + length, 4):
                for word in (-1, 2**30):
                    data = bytearray(whole)
                    struct.pack_into("<i", data, at, word)
                    with contextlib.suppress(ValueError):  # no more columns of ours
                        counts.add(rows(tmp_path, bytes(data)))
            start = whole.find(b"\xff\xff\xff\xff", start + 8 + length)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert counts == {0, 5}


def test_flipped_bits_lose_no_batch_before_them(tmp_path):
    whole, rng = stream(), Random(3)
    for _ in range(200):
        data, at = bytearray(whole), rng.randrange(len(whole))
        data[at] ^= 1 << rng.randrange(8)
        first = at // (len(whole) // 4)
        try:
            assert rows(tmp_path, bytes(data)) >= 5 * (first - 2)
        except ValueError:
            assert at < len(whole) // 2
