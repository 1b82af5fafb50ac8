"""What the exchange sends, kept as it came: the feed `raw`. Where it is off nothing of this is in the way of a frame.

A tap stands in front of a connection and beside its mapper: the connection does what it does anyway, and the stream
that its mapper found is the frame's. So each frame is kept once, also one that nobody could read, and none is read
twice. Of REST the answers about a symbol are kept: a book cannot be replayed without its snapshot, nor a gap among
trades without what filled it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from marketpipeline.ingestion.context import Publish
from marketpipeline.records import RawFrame, as_text
from marketpipeline.topics import TopicKind
from marketpipeline.venues.adapter import Mapper, RestRequest
from marketpipeline.venues.messages import Mapped, Stream

__all__ = ["RawFrames", "Tap"]


class RawFrames:
    """The raw frames of one process. `writer` gives what writes to a topic under a key.

    The key is the symbol; of what belongs to none it is the exchange and the process.
    """

    def __init__(self, exchange: str, process: str, rest_url: str, writer: Callable[[TopicKind, str], Publish]) -> None:
        self._exchange = exchange
        self._process = process
        self._rest_url = rest_url
        self._writer = writer
        self._writers: dict[str, Publish] = {}
        self._answers = 0

    def tap(self, connection: int, mapper: Mapper) -> Tap:
        """The tap of a connection, which reads by it in place of `mapper`."""
        return Tap(self, f"{self._process}/{connection}", mapper)

    def answer(self, request: RestRequest[Any], body: bytes, receive_time: int) -> None:
        """Keep what REST gave."""
        if request.symbol:
            self._answers += 1
            address = request.address(self._rest_url)
            self.keep(request.symbol, f"{self._process}/rest", self._answers, receive_time, body, request=address)

    def keep(
        self,
        symbol: str,
        connection: str,
        sequence: int,
        receive_time: int,
        data: bytes,
        *,
        stream: str = "",
        request: str = "",
    ) -> None:
        """Write one."""
        publish = self._writers.get(symbol)
        if publish is None:
            key = symbol or f"{self._exchange}/{self._process}"
            publish = self._writers[symbol] = self._writer(TopicKind.RAW, key)
        payload, encoding = as_text(data)
        publish(
            RawFrame(
                symbol=symbol,
                exchange=self._exchange,
                connection=connection,
                sequence=sequence,
                receive_time=receive_time,
                stream=stream,
                request=request,
                encoding=encoding,
                payload=payload,
            )
        )


class Tap:
    """One connection's. `connect` says what takes its frames."""

    def __init__(self, frames: RawFrames, name: str, mapper: Mapper) -> None:
        self._keep = frames.keep
        self._name = name
        self._map = mapper.map
        self._take: Callable[[bytes, int], None] = lambda payload, receive_time: None
        self._sequence = 0
        self._taken = b""
        self._symbol = self._stream = ""

    def connect(self, take: Callable[[bytes, int], None]) -> None:
        """Frames go on to `take`."""
        self._take = take

    def map(self, payload: bytes, receive_time: int) -> Mapped:
        """See `Mapper.map`. A frame that was held is read later: its stream is not that of the one taken now."""
        said = self._map(payload, receive_time)
        if payload is self._taken:
            stream: Stream | None = said[0] if isinstance(said, tuple) else getattr(said, "stream", None)
            if stream is not None:
                self._symbol, self._stream = stream.symbol, stream.name
        return said

    def take(self, payload: bytes, receive_time: int) -> None:
        """One frame from the socket."""
        self._taken = payload
        self._symbol = self._stream = ""
        self._sequence += 1
        self._take(payload, receive_time)
        self._keep(self._symbol, self._name, self._sequence, receive_time, payload, stream=self._stream)
