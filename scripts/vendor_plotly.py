"""Write trainer/report/assets/plotly/ anew: plotly.js's cartesian bundle and its licence, from npm.

The page draws scatter, bar and heatmap traces. This is the smallest published bundle that has them:
a third of the whole library. To take another version, change the two constants below; the second is
what `npm view NAME@VERSION dist.integrity` prints.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

NAME, VERSION = "plotly.js-cartesian-dist-min", "4.1.1"
INTEGRITY = (  # of the archive
    "sha512-o8GrFeusncwBIxbBynRJpY4pkgVB6caM+JLpwrLYbbsO7dZ8FJ+SVN2Fr+L7kiG/Z6w4P5O0Jus/Qr5EefHVeg=="
)
FOLDER = Path(__file__).resolve().parents[1] / "trainer" / "report" / "assets" / "plotly"
FILES = ("plotly-cartesian.min.js", "LICENSE")


def packed() -> bytes:
    """The package's archive, as npm brings it from wherever this machine has its packages."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", f"{NAME}@{VERSION}", "--json", "--pack-destination", folder]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return Path(folder, json.loads(told)[0]["filename"]).read_bytes()


def main() -> None:
    archive = packed()
    found = f"sha512-{base64.b64encode(hashlib.sha512(archive).digest()).decode()}"
    if found != INTEGRITY:
        raise SystemExit(f"{NAME} {VERSION}: its digest is {found}, not {INTEGRITY}")
    FOLDER.mkdir(exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for name in FILES:
            member = files.extractfile(f"package/{name}")
            if member is None:
                raise SystemExit(f"{NAME} {VERSION}: it holds no {name}")
            (FOLDER / name).write_bytes(member.read())


if __name__ == "__main__":
    main()
