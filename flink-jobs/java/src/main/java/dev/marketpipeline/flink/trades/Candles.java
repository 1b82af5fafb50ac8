package dev.marketpipeline.flink.trades;

import java.util.Iterator;
import java.util.Map;
import java.util.function.Consumer;
import org.apache.flink.table.api.dataview.MapView;

/**
 * The symbol's clock, and the candles of every window that it closes.
 *
 * <p>The clock is the greatest time that the symbol's trades and heartbeats have reached, in the order of its
 * partition. That order is the same when records are read again, so what is late and when a candle closes is the same
 * too; no other symbol can hold it up or run ahead of it. A candle closes when the clock is past its end by the allowed
 * lateness.
 *
 * <p>It is complete when the symbol's records were read from before it opened, by as much as they may be out of order.
 */
final class Candles {
    /** State of a symbol: its clock, where that began, and when the next candle closes. */
    public static class Clock {
        public boolean known;
        public long now;
        public long since;
        public long nextClosing = Long.MAX_VALUE;
    }

    private static final int MOST_WINDOWS = 64;

    private final String[] intervals;
    private final long[] widths;
    private final long lateness;

    /** @param windows {@code 1m=60000000,5m=300000000}, or nothing; `lateness` in microseconds. */
    Candles(String windows, long lateness) {
        String[] parts = windows.isEmpty() ? new String[0] : windows.split(",");
        intervals = new String[parts.length];
        widths = new long[parts.length];
        for (int n = 0; n < parts.length; n++) {
            intervals[n] = parts[n].substring(0, parts[n].indexOf('='));
            widths[n] = Long.parseLong(parts[n].substring(parts[n].indexOf('=') + 1));
        }
        this.lateness = lateness;
    }

    /** A record has reached a time: candles whose end has passed are closed. */
    void reach(long time, Clock clock, MapView<Long, Candle> open, Consumer<Candle> out) throws Exception {
        if (!clock.known) {
            clock.known = true;
            clock.now = clock.since = time;
        }
        clock.now = Math.max(clock.now, time);
        if (clock.now < clock.nextClosing) return;
        clock.nextClosing = Long.MAX_VALUE;
        Iterator<Map.Entry<Long, Candle>> entries = open.entries().iterator();
        while (entries.hasNext()) {
            Candle candle = entries.next().getValue();
            if (candle.close_time + lateness <= clock.now) {
                candle.closed = true;
                out.accept(candle);
                entries.remove();
            } else {
                clock.nextClosing = Math.min(clock.nextClosing, candle.close_time + lateness);
            }
        }
    }

    /** Whether a candle that the trade belongs to has closed: then it is in none. */
    boolean isLate(long time, Clock clock) {
        for (long width : widths) {
            if (time - Math.floorMod(time, width) + width + lateness <= clock.now) return true;
        }
        return false;
    }

    /** Put a trade that is not late into the candle of each window. */
    void add(TradeEvent trade, Clock clock, MapView<Long, Candle> open, Consumer<Candle> out) throws Exception {
        for (int n = 0; n < widths.length; n++) {
            long start = trade.time - Math.floorMod(trade.time, widths[n]);
            long key = start / 1_000_000 * MOST_WINDOWS + n;
            Candle candle = open.get(key);
            if (candle == null) {
                candle = new Candle();
                candle.interval = intervals[n];
                candle.open_time = start;
                candle.close_time = start + widths[n];
                candle.complete = start >= clock.since + lateness;
                clock.nextClosing = Math.min(clock.nextClosing, candle.close_time + lateness);
            }
            candle.add(trade);
            open.put(key, candle);
            out.accept(candle);
        }
    }
}
