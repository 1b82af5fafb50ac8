package dev.marketpipeline.flink.trades;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
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
 * <p>Minutes are kept beside the windows that are asked for: the rules of a minute look at them, and the returns of which
 * the volatility of every window is made are those of their closes.
 *
 * <p>A candle is complete when the symbol's records were read from before it opened, by as much as they may be out of order.
 */
final class Candles {
    /**
     * State of a symbol: its clock, where that began, when the next candle closes, and those that are open. They are few, and
     * asked for with each trade: in a map of state each would be an access of its own.
     */
    public static class Clock {
        public boolean known;
        public long now;
        public long since;
        public long nextClosing = Long.MAX_VALUE;
        /** The close of the last minute that has closed; 0 is none. */
        public double lastClose;
        public Candle[] open = new Candle[0];

        private Candle opened(long start, long width) {
            for (Candle candle : open) {
                if (candle.open_time == start && candle.close_time == start + width) return candle;
            }
            return null;
        }
    }

    private static final long MINUTE = 60_000_000;
    private static final Comparator<Candle> SHORTEST_FIRST =
            Comparator.<Candle>comparingLong(candle -> candle.close_time).thenComparing(candle -> -candle.open_time);

    private final String[] intervals;
    private final long[] widths;
    private final int asked;
    private final long lateness;

    /** @param windows {@code 1m=60000000,5m=300000000}, or nothing; `lateness` in microseconds. */
    Candles(String windows, long lateness) {
        List<String> parts = new ArrayList<>(windows.isEmpty() ? List.of() : List.of(windows.split(",")));
        asked = parts.size();
        if (parts.stream().noneMatch(part -> part.endsWith("=" + MINUTE))) parts.add("=" + MINUTE);
        intervals = new String[parts.size()];
        widths = new long[parts.size()];
        for (int n = 0; n < widths.length; n++) {
            String part = parts.get(n);
            intervals[n] = part.substring(0, part.indexOf('='));
            widths[n] = Long.parseLong(part.substring(part.indexOf('=') + 1));
        }
        this.lateness = lateness;
    }

    /** A record has reached a time: candles whose end has passed are closed, a minute before the windows it ends. */
    void reach(long time, Clock clock, MapView<String, MinuteRules.Past> past, Consumer<Candle> out) throws Exception {
        if (!clock.known) {
            clock.known = true;
            clock.now = clock.since = time;
        }
        clock.now = Math.max(clock.now, time);
        if (clock.now < clock.nextClosing) return;
        List<Candle> closing = takeClosing(clock);
        closing.sort(SHORTEST_FIRST);
        for (Candle candle : closing) {
            if (isMinute(candle)) {
                MinuteRules.keep(candle, lateness, past);
                returned(candle, clock, closing);
            }
            candle.closed = true;
            if (!candle.interval.isEmpty()) out.accept(candle);
        }
    }

    private List<Candle> takeClosing(Clock clock) {
        List<Candle> closing = new ArrayList<>();
        List<Candle> staying = new ArrayList<>();
        clock.nextClosing = Long.MAX_VALUE;
        for (Candle candle : clock.open) {
            boolean closes = candle.close_time + lateness <= clock.now;
            (closes ? closing : staying).add(candle);
            if (!closes) clock.nextClosing = Math.min(clock.nextClosing, candle.close_time + lateness);
        }
        clock.open = staying.toArray(Candle[]::new);
        return closing;
    }

    /** A minute has closed: its return counts in every window around it. */
    private void returned(Candle minute, Clock clock, List<Candle> closing) {
        double before = clock.lastClose;
        clock.lastClose = minute.close;
        if (before == 0) return;
        double square = Math.pow(Math.log(minute.close / before), 2);
        for (Candle candle : closing) {
            if (contains(candle, minute)) count(candle, square);
        }
        for (Candle candle : clock.open) {
            if (contains(candle, minute)) count(candle, square);
        }
    }

    private static void count(Candle candle, double square) {
        candle.squares += square;
        candle.returns++;
    }

    private static boolean contains(Candle candle, Candle minute) {
        return candle.open_time <= minute.open_time && minute.open_time < candle.close_time;
    }

    private static boolean isMinute(Candle candle) {
        return candle.close_time - candle.open_time == MINUTE;
    }

    /** Whether a candle that the trade belongs to has closed: then it is in none. */
    boolean isLate(long time, Clock clock) {
        for (int n = 0; n < asked; n++) {
            if (hasClosed(time, widths[n], clock)) return true;
        }
        return false;
    }

    private boolean hasClosed(long time, long width, Clock clock) {
        return time - Math.floorMod(time, width) + width + lateness <= clock.now;
    }

    /** Put a trade that is not late into the candle of each window; gives that of its minute, null once it has closed. */
    Candle add(TradeEvent trade, boolean outlier, Clock clock, Consumer<Candle> out) {
        Candle minute = null;
        for (int n = 0; n < widths.length; n++) {
            if (n >= asked && hasClosed(trade.time, widths[n], clock)) continue;
            long start = trade.time - Math.floorMod(trade.time, widths[n]);
            Candle candle = clock.opened(start, widths[n]);
            if (candle == null) candle = opened(n, start, clock);
            candle.add(trade, outlier);
            if (n < asked) out.accept(candle);
            if (isMinute(candle)) minute = candle;
        }
        return minute;
    }

    private Candle opened(int n, long start, Clock clock) {
        Candle candle = new Candle();
        candle.interval = intervals[n];
        candle.open_time = start;
        candle.close_time = start + widths[n];
        candle.complete = start >= clock.since + lateness;
        clock.nextClosing = Math.min(clock.nextClosing, candle.close_time + lateness);
        clock.open = Arrays.copyOf(clock.open, clock.open.length + 1);
        clock.open[clock.open.length - 1] = candle;
        return candle;
    }
}
