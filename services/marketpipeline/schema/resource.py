"""What the parts of a MarketPipeline are made of: camelCase in YAML, snake_case in Python, unknown fields refused."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel

from marketpipeline.schema.text import Url
from marketpipeline.schema.units import Cpu, Memory, cpu_millis, memory_bytes

__all__ = [
    "CertificateKey",
    "ClientCertificate",
    "Limits",
    "Name",
    "PodTemplate",
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


class Limits(SpecModel):
    """The most that a container may use."""

    cpu: Cpu | None = Field(default=None, description="CPU, as it is requested; no limit when absent.")
    memory: Memory | None = Field(default=None, description="Memory, as it is requested; that when absent.")


class Resources(SpecModel):
    """Compute of one container, as it is requested. Its memory is limited to the same, its CPU is not."""

    cpu: Cpu = Field(default="250m", description="CPU in cores, or in thousandths with `m`: 2, 0.5 or 500m.")
    memory: Memory = Field(default="256Mi", description="Memory with its unit, or in bytes: 512Mi, 512M or 1e9.")
    limits: Limits | None = Field(default=None, description="Other limits than these.")

    @model_validator(mode="after")
    def _limits_hold_what_is_requested(self) -> Self:
        if self.limits is None:
            return self
        if self.limits.cpu is not None and cpu_millis(self.limits.cpu) < cpu_millis(self.cpu):
            raise ValueError(f"limits.cpu ({self.limits.cpu}) must be at least cpu ({self.cpu})")
        if self.limits.memory is not None and memory_bytes(self.limits.memory) < memory_bytes(self.memory):
            raise ValueError(f"limits.memory ({self.limits.memory}) must be at least memory ({self.memory})")
        return self


_Marks = Annotated[dict[str, Annotated[str, StringConstraints(max_length=4096)]], Field(max_length=64)]
_Kubernetes = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_Part = Annotated[dict[str, Any], WithJsonSchema(_Kubernetes)]
_Parts = Annotated[list[_Part], Field(max_length=64)]


class PodTemplate(SpecModel):
    """What the Pods of a component have beside what the operator gives them, in Kubernetes' own form.

    A field that is described as Kubernetes' is handed on as it is: the API server checks it with the Pod.
    """

    labels: _Marks = Field(default_factory=dict, description="Labels; the operator's own stay as they are.")
    annotations: _Marks = Field(default_factory=dict, description="Annotations, likewise.")
    node_selector: _Marks = Field(default_factory=dict, description="Labels of the nodes that they may run on.")
    tolerations: _Parts = Field(default_factory=list, description="Kubernetes' tolerations.")
    affinity: _Part | None = Field(default=None, description="Kubernetes' affinity.")
    topology_spread_constraints: _Parts | None = Field(
        default=None,
        description="Kubernetes' topologySpreadConstraints; over zones and nodes, where it can be, when absent.",
    )
    priority_class_name: Name | None = Field(default=None, description="Name of a PriorityClass.")
    security_context: _Part = Field(
        default_factory=dict, description="Fields of Kubernetes' securityContext of the Pod, over the operator's."
    )
    env: _Parts = Field(
        default_factory=list, description="Kubernetes' env of the container; variables that the operator sets stay."
    )
    image_pull_secrets: Annotated[list[Name], Field(max_length=16)] = Field(
        default_factory=list, description="Names of Secrets to pull the image with, beside the operator's."
    )

    def over(self, common: PodTemplate) -> PodTemplate:
        """This one where it says something, else what is common to all components; mappings are merged."""
        merged: dict[str, Any] = {}
        for name, field in PodTemplate.model_fields.items():
            own, base = getattr(self, name), getattr(common, name)
            if isinstance(own, dict) and isinstance(base, dict):
                merged[name] = {**base, **own}
            else:
                merged[name] = base if own == field.get_default(call_default_factory=True) else own
        return PodTemplate(**merged)
