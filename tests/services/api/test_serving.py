"""HTTPS with a certificate that is renewed, and health beside it over plain HTTP."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from marketpipeline.api import serving
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.conftest import free_port, wait_for
from tests.services.api.serving import Stores, listening
from tests.support.certificates import Authority
from tests.support.tied import tied


def put(authority: Authority, folder: Path, name: str) -> None:
    issued = authority.issue(name, "IP:127.0.0.1")
    folder.mkdir(exist_ok=True)
    (folder / "tls.crt").write_bytes(issued.certificate.read_bytes())
    (folder / "tls.key").write_bytes(issued.key.read_bytes())


async def name_of(address: str, trusted: ssl.SSLContext) -> str:
    """Whose certificate is shown."""
    host, _, port = address.partition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=trusted)
    shown = writer.get_extra_info("peercert")
    writer.close()
    return str(dict(part[0] for part in shown["subject"])["commonName"])


async def test_a_renewed_certificate_is_shown(stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_LOOK_SECONDS", 0.05)
    authority, folder = Authority(tmp_path / "authority"), tmp_path / "tls"
    put(authority, folder, "first")
    trusted = ssl.create_default_context(cafile=str(authority.certificate))
    async with listening(stores.settings(tls_folder=folder)) as address:
        async with httpx.AsyncClient(verify=trusted) as client:
            assert (await client.get(f"https://{address}/health")).status_code == 200
        with pytest.raises(InvalidStatus) as refused:  # no broker: what counts is that it speaks
            async with connect(f"wss://{address}/api/v1/stream", ssl=trusted):
                pass
        assert refused.value.response.status_code == 501
        assert await name_of(address, trusted) == "first"
        put(authority, folder, "second")
        async with asyncio.timeout(10):
            while await name_of(address, trusted) != "second":  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.05)
        (folder / "tls.key").write_text("nothing")
        await asyncio.sleep(0.2)
        assert await name_of(address, trusted) == "second", "what cannot be used changes nothing"


def test_the_process_serves_health_beside_https(stores: Stores, tmp_path: Path) -> None:
    authority, folder = Authority(tmp_path / "authority"), tmp_path / "tls"
    put(authority, folder, "api")
    port, beside = free_port(), free_port()
    settings = stores.settings(http={"host": "127.0.0.1", "port": port}, tls_folder=folder, health_port=beside)
    config = tmp_path / "settings.json"
    found = settings.model_dump(mode="json")
    for store in found["stores"].values():
        if store is not None:
            store.pop("password", None)
    config.write_text(json.dumps(found))
    command = [sys.executable, "-m", "marketpipeline", "api", "--config", str(config)]
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(tied(command), stdout=out, stderr=out)
    try:
        plain = f"http://127.0.0.1:{beside}"

        def status(url: str) -> int:
            assert process.poll() is None, log.read_text()
            try:
                return httpx.get(url, verify=False).status_code
            except httpx.TransportError:
                return 0

        wait_for(lambda: status(f"{plain}/health/live") == 200, "it serves", seconds=60)
        assert status(f"{plain}/metrics") == 200
        assert status(f"{plain}/api/v1/market/realtime") == 404
        assert status(f"https://127.0.0.1:{port}/health/live") == 200
        assert status(f"http://127.0.0.1:{port}/health/live") == 0
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
    assert "Traceback" not in log.read_text()
    (folder / "tls.crt").unlink()
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert f"tls_folder: '{folder}': must hold tls.crt and tls.key" in done.stderr
