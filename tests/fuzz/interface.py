"""The HTTP interface, asked by schemathesis what its own OpenAPI description allows and forbids.

    python -m tests.fuzz.interface --examples 200

Starts the app on this machine and asks nothing else: at most so many requests per operation and
phase. Exit status 1 where an answer is a server's error, or not what the description says. No part
of the ordinary tests.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from tests.browsing import running_app, wait_for
from tests.load import ROOT

OPTIONS = (
    "--generation-deterministic",
    "--continue-on-failure",
    "--request-timeout=60",
    # That bytes are no image is said by 400, which no schema of bytes can foresee.
    "--exclude-checks=positive_data_acceptance",
    "--no-color",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--examples", type=int, default=200)
    asked = parser.parse_args()
    beside = str(Path(sys.executable).parent)
    program = shutil.which("schemathesis", path=beside) or shutil.which("schemathesis")
    if program is None:
        parser.error("schemathesis is not installed")
    with running_app(ROOT / ".pytest_cache" / "interface.log") as address:
        wait_for(f"{address}/v1/health")  # until the model is loaded
        command = [program, "run", f"{address}/v1/openapi.json", f"--max-examples={asked.examples}"]
        return subprocess.run([*command, *OPTIONS], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
