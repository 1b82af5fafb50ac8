"""The `MarketPipeline` resource: its typed model, and reading it from YAML."""

from __future__ import annotations

from marketpipeline.schema import Resources, SecretKey, microseconds, milliseconds, seconds
from marketpipeline.spec.backup import BACKED_UP, NEEDS_A_DATABASE
from marketpipeline.spec.load import load_file, load_object, load_text
from marketpipeline.spec.market import BookSource, Depth
from marketpipeline.spec.pipeline import (
    API_NEEDS_A_SINK,
    API_VERSION,
    DASHBOARD_NEEDS_A_KEY,
    DASHBOARD_NEEDS_THE_API,
    KIND,
    RAW_NEEDS_A_FEED,
    MarketPipeline,
    Metadata,
    PipelineSpec,
)
from marketpipeline.spec.platform import (
    WAKES_LATER,
    Broker,
    DeletionPolicy,
    Processing,
    ProcessingMode,
    StateBackend,
    TopicProvider,
)
from marketpipeline.spec.sinks import Sinks
from marketpipeline.spec.thresholds import Thresholds

__all__ = [
    "API_NEEDS_A_SINK",
    "API_VERSION",
    "BACKED_UP",
    "DASHBOARD_NEEDS_A_KEY",
    "DASHBOARD_NEEDS_THE_API",
    "KIND",
    "NEEDS_A_DATABASE",
    "RAW_NEEDS_A_FEED",
    "WAKES_LATER",
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
    "Sinks",
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
