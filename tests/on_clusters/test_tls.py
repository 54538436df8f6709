"""A search over two hosts that speak TLS to each other, with certificates that the shipped script made."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.faults import SETTINGS, changes, check, outcomes
from tests.support.hosts import ROOT, Hosts, require_hosts

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(400)]
SCRIPT = ROOT / "cluster" / "launchers" / "certificates.sh"
PLACE = "/tmp/ray/tls"  # on each host its own
TLS = {
    "RAY_USE_TLS": "1",
    "RAY_TLS_SERVER_CERT": f"{PLACE}/node.crt",
    "RAY_TLS_SERVER_KEY": f"{PLACE}/node.key",
    "RAY_TLS_CA_CERT": f"{PLACE}/ca.crt",
}


def certify(place: Path, *addresses: str) -> None:
    subprocess.run([str(SCRIPT), str(place), *addresses], check=True, capture_output=True)


def test_a_search_over_tls_and_a_client_without_certificates(tmp_path: Path) -> None:
    require_hosts()
    with Hosts(2, tmp_path, environment=TLS) as hosts:
        certify(tmp_path / "made", hosts.ip(0), hosts.ip(1))
        for host in (0, 1):
            (tmp_path / hosts.name(host)).mkdir()
            (tmp_path / "made" / hosts.ip(host)).rename(tmp_path / hosts.name(host) / "tls")
        hosts.start(0, [1])
        command = [sys.executable, "-m", "search", "search", "digits", "--address", hosts.address]
        command += ["--storage", str(tmp_path / "runs"), *changes(SETTINGS)]
        without = {name: value for name, value in hosts.environment.items() if name not in TLS}
        refused = hosts.run(0, [*command, "--name", "refused"], without)
        assert refused.returncode == 2, refused.stdout + refused.stderr
        assert "the cluster speaks TLS; set RAY_USE_TLS=1" in refused.stderr
        assert not (tmp_path / "runs" / "refused").exists()
        done = hosts.run(0, [*command, "--name", "run"])
        assert done.returncode == 0, done.stdout + done.stderr
        assert check(tmp_path / "runs" / "run") == (len(outcomes(tmp_path / "runs" / "run")), 0)


def test_certificates_are_for_their_addresses_and_keys_are_private(tmp_path: Path) -> None:
    certify(tmp_path, "10.0.0.1", "head.example")
    certify(tmp_path, "10.0.0.2")  # by the same authority
    for address, name in {
        "10.0.0.1": "IP Address:10.0.0.1",
        "head.example": "DNS:head.example",
        "10.0.0.2": "IP",
    }.items():
        node = tmp_path / address
        verify = ["openssl", "verify", "-CAfile", str(tmp_path / "ca.crt"), str(node / "node.crt")]
        assert subprocess.run(verify, capture_output=True, check=False).returncode == 0
        text = subprocess.run(
            ["openssl", "x509", "-in", str(node / "node.crt"), "-noout", "-text"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert name in text
        assert sorted(path.name for path in node.iterdir()) == ["ca.crt", "node.crt", "node.key"]
    for key in tmp_path.rglob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert subprocess.run([str(SCRIPT), str(tmp_path)], capture_output=True, check=False).returncode == 2
