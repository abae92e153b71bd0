"""Memory: the least of what the machine, the groups of the process and the shell allow."""

import subprocess
import sys

import psutil
import pytest

from trainer.machine import groups
from trainer.machine.memory import available_memory, memory_limit, peak_memory


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


LEFT = [
    ("no limit", "0::/\n", {"memory.max": "max\n"}, []),
    (
        "a job in a service",  # files that were read can be dropped
        "0::/job/step\n",
        {
            "job/step/memory.max": "max",
            "job/memory.max": f"{64 * MIB}",
            "job/memory.current": f"{40 * MIB}",
            "job/memory.stat": f"anon {28 * MIB}\ninactive_file {12 * MIB}\nslab 5\n",
            "memory.max": f"{512 * MIB}",
            "memory.current": f"{500 * MIB}",
            "memory.stat": "anon 1\n",
        },
        [12 * MIB, 36 * MIB],
    ),
    (
        "version 1",
        "4:memory:/slurm/job_7\n",
        {
            "memory/slurm/job_7/memory.limit_in_bytes": f"{9 * MIB}",
            "memory/slurm/job_7/memory.usage_in_bytes": f"{8 * MIB}",
            "memory/slurm/job_7/memory.stat": f"inactive_file 7\ntotal_inactive_file {MIB}\n",
        },
        [2 * MIB],
    ),
    (
        "more in use than allowed",
        "0::/\n",
        {"memory.max": "5", "memory.current": "9", "memory.stat": ""},
        [0],
    ),
    ("files that are not there", "0::/\n", {"memory.max": "5"}, []),
    (
        "a number beyond any memory",  # version 1's for no limit
        "4:memory:/a\n",
        {
            "memory/a/memory.limit_in_bytes": f"{2**63 - 4096}",
            "memory/a/memory.usage_in_bytes": "5",
            "memory/a/memory.stat": "",
        },
        [],
    ),
]


@pytest.mark.parametrize(("what", "lines", "files", "left"), LEFT)
def test_of_a_groups_limit_what_is_in_use_is_gone(grouped, what, lines, files, left):
    grouped(lines, files)
    assert groups.memory_left(psutil.virtual_memory().total) == left
    if left:
        assert available_memory() == min(left)
    assert available_memory() < psutil.virtual_memory().total


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
    assert (len(MEMORY), len(LEFT), len(PROCESSORS)) == (9, 6, 5)


@pytest.mark.skipif(not hasattr(psutil, "RLIMIT_AS"), reason="no ulimit -v here")
def test_ulimit_is_a_limit():
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, -1))\n"
        "from trainer.machine.memory import memory_limit; print(memory_limit())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) <= 3 << 30


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what is mapped")
def test_what_imports_have_mapped_is_gone_from_ulimit():
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, -1))\n"
        "from trainer.machine.memory import available_memory\n"
        "import mmap; before = available_memory(); held = mmap.mmap(-1, 1 << 30)\n"
        "print(before, available_memory())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before < 3 << 30
    assert (1 << 30) <= before - after < (1 << 30) + (64 << 20)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system counts")
def test_the_peak_is_this_processs_own():
    """Not that of the process that began it, as Linux's getrusage has it."""
    held = bytearray(256 * MIB)
    code = "from trainer.machine.memory import peak_memory; print(peak_memory())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < len(held)


def test_the_peak_grows_with_what_is_held():
    before = peak_memory()
    size = max(2 * before - psutil.Process().memory_info().rss, 0) + 64 * MIB
    held = b"x" * size
    assert peak_memory() >= before + 32 * MIB
    assert len(held) == size
