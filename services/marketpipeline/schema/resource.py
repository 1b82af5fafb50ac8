"""What the parts of a MarketPipeline are made of: camelCase in YAML, snake_case in Python, unknown fields refused."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from marketpipeline.schema.text import Url
from marketpipeline.schema.units import Cpu, Memory

__all__ = [
    "CertificateKey",
    "ClientCertificate",
    "Name",
    "Resources",
    "S3Access",
    "S3Credentials",
    "SecretKey",
    "SecretKeyName",
    "SpecModel",
]

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
"""The name of a Kubernetes object."""

SecretKeyName = Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]
"""A key within a Secret."""


class SpecModel(BaseModel):
    """A part of a MarketPipeline: immutable, so that a spec can be compared and hashed by its JSON."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=False,
        allow_inf_nan=False,
    )


class SecretKey(SpecModel):
    """A key of a Secret in the pipeline's namespace; only the reference is ever in a spec."""

    name: Name = Field(description="Name of the Secret.")
    key: SecretKeyName = Field(default="password", description="Key within the Secret.")


class CertificateKey(SecretKey):
    """Where certificates are, in PEM form."""

    key: SecretKeyName = Field(default="ca.crt", description="Key within the Secret.")


class ClientCertificate(SpecModel):
    """A Secret with a certificate and its private key in PEM form, as cert-manager or Strimzi (`user.crt`) makes it."""

    name: Name = Field(description="Name of the Secret.")
    certificate: SecretKeyName = Field(default="tls.crt", description="Key of the certificate (chain).")
    key: SecretKeyName = Field(default="tls.key", description="Key of the private key, in PKCS #8.")


class S3Credentials(SpecModel):
    """A Secret with a pair of keys for S3."""

    name: Name = Field(description="Name of the Secret.")
    access_key_id: SecretKeyName = Field(default="AWS_ACCESS_KEY_ID", description="Key of the access key's id.")
    secret_access_key: SecretKeyName = Field(
        default="AWS_SECRET_ACCESS_KEY", description="Key of the secret access key."
    )


class S3Access(SpecModel):
    """How S3, or what speaks its protocol, is reached."""

    endpoint: Annotated[str, StringConstraints(max_length=2048), Url("http", "https")] | None = Field(
        default=None, description="Address of the service, e.g. http://minio.storage:9000; AWS when absent."
    )
    region: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] | None = Field(
        default=None, description="Region of the buckets, e.g. eu-central-1."
    )
    path_style: bool | None = Field(
        default=None,
        description="Whether a bucket is part of the path and not of the host's name; true with an `endpoint`, else "
        "false, when absent.",
    )
    credentials_secret: S3Credentials | None = Field(
        default=None,
        description="Where the keys are; the Pods' own identity (an annotated ServiceAccount, the node) when absent.",
    )

    @property
    def is_path_style(self) -> bool:
        """What holds where nothing is said: services of one's own have no name for each bucket."""
        return self.path_style if self.path_style is not None else self.endpoint is not None


class Resources(SpecModel):
    """Compute of one container: requested, and with twice the CPU and the same memory as the limit."""

    cpu: Cpu = Field(default="250m", description="CPU in cores, or in thousandths with `m`: 2, 0.5 or 500m.")
    memory: Memory = Field(default="256Mi", description="Memory with its unit, or in bytes: 512Mi, 512M or 1e9.")
