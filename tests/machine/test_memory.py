"""Memory: the least of what the machine, the groups of the process and the shell allow."""

import subprocess
import sys

import psutil
import pytest

from trainer.machine import groups
from trainer.machine.memory import memory_limit, peak_memory


@pytest.fixture
def grouped(tmp_path, monkeypatch):
    """Give this process control groups: lines of /proc/self/cgroup, and files by their path."""

    def give(lines, files):
        own = tmp_path / "cgroup"
        own.write_text(lines, encoding="utf-8")
        for name, text in files.items():
            path = tmp_path / "mounted" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="ascii")
        monkeypatch.setattr(groups, "_OWN", own)
        monkeypatch.setattr(groups, "_MOUNTED", tmp_path / "mounted")

    return give


MIB = 2**20
MEMORY = [
    ("no limit", "0::/\n", {"memory.max": "max\n"}, None),
    ("a container", "0::/\n", {"memory.max": f"{64 * MIB}\n"}, 64 * MIB),
    ("the group around", "0::/job/step\n", {"job/memory.max": str(MIB)}, MIB),
    ("the least", "0::/a/b\n", {"a/memory.max": "9999", "a/b/memory.max": "8888"}, 8888),
    (
        "version 1",
        "5:cpu,cpuacct:/\n4:memory:/slurm/job_7\n",
        {"memory/slurm/job_7/memory.limit_in_bytes": str(MIB)},
        MIB,
    ),
    ("version 1, unlimited", "4:memory:/\n", {"memory/memory.limit_in_bytes": "-1"}, None),
    ("a mounted root", "4:memory:/elsewhere\n", {"memory/memory.limit_in_bytes": "77777"}, 77777),
    ("a garbled file", "0::/\n", {"memory.max": "\n"}, None),
    ("no group", "", {}, None),
]


@pytest.mark.parametrize(("what", "lines", "files", "limit"), MEMORY)
def test_memory_is_that_of_the_machine_or_of_a_group(grouped, what, lines, files, limit):
    grouped(lines, files)
    assert memory_limit() == (psutil.virtual_memory().total if limit is None else limit)


PROCESSORS = [
    ("no limit", "0::/\n", {"cpu.max": "max 100000\n"}, []),
    ("a container", "0::/\n", {"cpu.max": "150000 100000\n"}, [1.5]),
    ("two levels", "0::/a\n", {"a/cpu.max": "50000 100000", "cpu.max": "400000 100000"}, [0.5, 4]),
    (
        "version 1",
        "3:cpu:/\n",
        {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"},
        [2],
    ),
    (
        "version 1, unlimited",
        "3:cpu:/\n",
        {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
        [],
    ),
]


@pytest.mark.parametrize(("what", "lines", "files", "limits"), PROCESSORS)
def test_processors_of_a_group(grouped, what, lines, files, limits):
    grouped(lines, files)
    assert sorted(groups.processor_limits()) == limits


def test_the_tables_of_groups_are_whole():
    assert (len(MEMORY), len(PROCESSORS)) == (9, 5)


@pytest.mark.skipif(not hasattr(psutil, "RLIMIT_AS"), reason="no ulimit -v here")
def test_ulimit_is_a_limit():
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, -1))\n"
        "from trainer.machine.memory import memory_limit; print(memory_limit())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) <= 3 << 30


def test_the_peak_grows_with_what_is_held():
    before = peak_memory()
    size = max(2 * before - psutil.Process().memory_info().rss, 0) + 64 * MIB
    held = b"x" * size
    assert peak_memory() >= before + 32 * MIB
    assert len(held) == size
