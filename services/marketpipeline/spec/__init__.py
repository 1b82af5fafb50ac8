"""The `MarketPipeline` resource: its typed model, and reading it from YAML."""

from __future__ import annotations

from marketpipeline.spec.load import load_file, load_object, load_text
from marketpipeline.spec.market import BookSource, Depth, Thresholds
from marketpipeline.spec.pipeline import (
    API_VERSION,
    KIND,
    MarketPipeline,
    Metadata,
    PipelineSpec,
)
from marketpipeline.spec.platform import (
    Broker,
    DeletionPolicy,
    Processing,
    ProcessingMode,
    Resources,
    SecretKey,
    StateBackend,
    TopicProvider,
)
from marketpipeline.spec.units import microseconds, milliseconds, seconds

__all__ = [
    "API_VERSION",
    "KIND",
    "BookSource",
    "Broker",
    "DeletionPolicy",
    "Depth",
    "MarketPipeline",
    "Metadata",
    "PipelineSpec",
    "Processing",
    "ProcessingMode",
    "Resources",
    "SecretKey",
    "StateBackend",
    "Thresholds",
    "TopicProvider",
    "load_file",
    "load_object",
    "load_text",
    "microseconds",
    "milliseconds",
    "seconds",
]
