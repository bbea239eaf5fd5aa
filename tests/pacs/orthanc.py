"""Debian's Orthanc with its DICOMweb plugin on loopback, for tests; skipped where it is missing."""

import json
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.browsing import free_port

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@contextmanager
def running_orthanc(folder: Path):
    """Address of DICOMweb, and port of the AE title ORTHANC."""
    if shutil.which("Orthanc") is None or not PLUGIN.exists():
        pytest.skip("no Orthanc: apt-get install orthanc orthanc-dicomweb")
    http, dicom = free_port(), free_port()
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": http,
        "DicomPort": dicom,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {"reader": "secret"},
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "DicomAlwaysAllowStore": True,
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("w") as log:
        process = subprocess.Popen([shutil.which("Orthanc"), str(file)], stdout=log, stderr=log)
        try:
            wait_for_port(http)
            wait_for_port(dicom)
            yield f"http://127.0.0.1:{http}/dicom-web", dicom
        finally:
            process.terminate()
            process.wait(20)


def wait_for_port(port: int) -> None:
    """Wait until somebody listens."""
    for _ in range(240):
        try:
            with socket.create_connection(("127.0.0.1", port), 2):
                return
        except OSError:
            time.sleep(0.25)
    raise AssertionError(f"nobody listens on port {port}")
