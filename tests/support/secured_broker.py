"""A real broker with a listener for each way in: over IPv6, with SASL in each mechanism, with and without TLS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from marketpipeline.local.component import Command
from marketpipeline.local.components.broker import Broker

from tests.conftest import free_port
from tests.support.certificates import Authority, Certificate
from tests.support.server import RunningServer

__all__ = ["PASSWORD", "USER", "SecuredBroker"]

USER, PASSWORD = 'al"ice', 'wo"rd\\ of;one'
_SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
_SECURITY = "org.apache.kafka.common.security"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Secured(Broker):
    """The platform's broker, with other listeners."""

    ports: Sequence[int]
    server: Certificate
    authority: Path

    def prepare(self) -> Sequence[Command]:
        """As the platform's, with a SCRAM user in the storage."""
        before = Broker.prepare(self)
        added = [f"--add-scram={mechanism}=[name={USER},password={PASSWORD}]" for mechanism in _SCRAM]
        return [replace(c, arguments=[*c.arguments, *added]) if "format" in c.arguments else c for c in before]

    def _properties(self) -> str:
        plain, sasl, sasl_ssl, ssl = self.ports
        module = f"{_SECURITY}.plain.PlainLoginModule required"
        entries = {
            "listeners": f"PLAINTEXT://[::1]:{plain},SASL_PLAINTEXT://127.0.0.1:{sasl},"
            f"SASL_SSL://127.0.0.1:{sasl_ssl},SSL://127.0.0.1:{ssl},CONTROLLER://127.0.0.1:{self.controller_port}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,"
            "SASL_SSL:SASL_SSL,SSL:SSL",
            "inter.broker.listener.name": "PLAINTEXT",
            "sasl.enabled.mechanisms": ",".join([*_SCRAM, "PLAIN"]),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self.server.both,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.authority,
            "listener.name.sasl_ssl.ssl.client.auth": "requested",
            "listener.name.ssl.ssl.client.auth": "required",
        }
        # Escaped once for JAAS, and once for the file.
        password = PASSWORD.replace("\\", "\\\\\\\\").replace('"', '\\\\"')
        for listener in ("sasl_plaintext", "sasl_ssl"):
            name = f"listener.name.{listener}"
            entries |= {
                f"{name}.{m.lower()}.sasl.jaas.config": f"{_SECURITY}.scram.ScramLoginModule required;" for m in _SCRAM
            }
            entries[f"{name}.plain.sasl.jaas.config"] = f'{module} user_alice="{password}";'
        known = Broker._properties(self)
        return known + "".join(f"{key}={value}\n" for key, value in entries.items())


class SecuredBroker(RunningServer):
    """`ipv6`, `sasl`, `sasl_tls` and `tls` (which asks for a certificate) are addresses of the one broker."""

    START_SECONDS = 90.0

    def __init__(self, java: str, jars: Path, folder: Path) -> None:
        self.authority = Authority(folder / "tls")
        self.client = self.authority.issue("client")
        ports = [free_port() for _ in range(4)]
        self.ipv6 = f"[::1]:{ports[0]}"
        self.sasl, self.sasl_tls, self.tls = (f"127.0.0.1:{port}" for port in ports[1:])
        component = _Secured(
            java=java, jars=jars, folder=folder / "kafka", port=ports[0], controller_port=free_port(), heap_mb=256,
            ports=ports, server=self.authority.issue("server", "IP:127.0.0.1"), authority=self.authority.certificate,
        )  # fmt: skip
        super().__init__(component, folder / "kafka.log")

    def serves(self) -> bool:
        """Whether the log says so."""
        return "Kafka Server started" in (self._log.read_text(errors="replace") if self._log.exists() else "")
