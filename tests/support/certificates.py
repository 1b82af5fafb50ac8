"""An authority of a test's own, and certificates by it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import require

__all__ = ["Authority", "Certificate"]

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files in PEM form: the certificate, its key (PKCS 8), and both in one."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """Issues certificates into `folder`; who trusts `certificate` trusts them."""

    def __init__(self, folder: Path) -> None:
        require(shutil.which("openssl"), "no openssl")
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.certificate = folder / "authority.pem"
        self._key = folder / "authority.key"
        made = ("-keyout", str(self._key), "-out", str(self.certificate), "-days", "2", "-subj", "/CN=authority")
        _openssl("req", "-x509", *_KEY, *made, "-addext", "basicConstraints=critical,CA:TRUE")

    def issue(self, name: str, *alternatives: str) -> Certificate:
        """A certificate of `name`; `alternatives` are what it is for, e.g. `DNS:localhost` or `IP:127.0.0.1`."""
        certificate, key, both = (self._folder / f"{name}{end}" for end in (".pem", ".key", ".both.pem"))
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={','.join(alternatives)}\n" if alternatives else "")
        _openssl("req", *_KEY, "-keyout", str(key), "-out", str(request), "-subj", f"/CN={name}")
        by = ("-CA", str(self.certificate), "-CAkey", str(self._key), "-CAcreateserial", "-days", "2")
        _openssl("x509", "-req", "-in", str(request), "-out", str(certificate), *by, "-extfile", str(extensions))
        both.write_text(key.read_text() + certificate.read_text())
        return Certificate(certificate, key, both)


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
