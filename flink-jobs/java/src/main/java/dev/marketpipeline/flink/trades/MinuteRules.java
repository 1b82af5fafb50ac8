package dev.marketpipeline.flink.trades;

import dev.marketpipeline.flink.Alert;
import dev.marketpipeline.flink.Episode;
import dev.marketpipeline.flink.Event;
import dev.marketpipeline.flink.Limits;
import java.util.Arrays;
import java.util.function.Consumer;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.data.RowData;

/**
 * The rules of the one-minute candle: price spike, volume spike, trade burst. Each may hold from some trade of a minute on.
 * An alert begins with the first such minute, goes on for as long as the next one meets the rule as well, and ends with the
 * last: that is known once the candle after it has closed, or could have.
 */
final class MinuteRules {
    private static final long MINUTE = 60_000_000;
    private static final int KEPT = 30;
    private static final int KNOWN_FROM = 6;
    private static final String SPIKE = "price_spike";
    private static final String VOLUME = "volume_spike";
    private static final String BURST = "trade_burst";

    /** An alert that goes on until a time at least; value and threshold are those of its last trade. */
    public static class Lasting {
        public Episode episode = new Episode();
        public long until;
        public double value;
        public double threshold;
    }

    /** State of a symbol. What is usual is that of the minute `usualOf`; NaN while too little is known. */
    public static class Memory {
        public Lasting spike = new Lasting();
        public Lasting volume = new Lasting();
        public Lasting burst = new Lasting();
        public long usualOf = Long.MIN_VALUE;
        public double usualTrades = Double.NaN;
        public double usualVolume = Double.NaN;
    }

    /** Minutes that have closed, in order; read and written once a minute. */
    public static class Past {
        public long[] opened = new long[0];
        public double[] trades = new double[0];
        public double[] volumes = new double[0];
    }

    /** When something ends, which no event of the exchange has told. */
    private static final class Ending extends Event {}

    private final Ending ending = new Ending();
    private final long lateness;

    MinuteRules(long lateness) {
        this.lateness = lateness;
    }

    /** The clock has reached a time: end what has not gone on. */
    void reach(RowData row, long clock, Memory memory, Consumer<Alert> out) {
        boolean isAnyOpen = memory.spike.episode.open || memory.volume.episode.open || memory.burst.episode.open;
        if (!isAnyOpen) return;
        ending.symbol = row.getString(TradeEvent.SYMBOL).toString();
        ending.receiveTime = row.isNullAt(TradeEvent.RECEIVE_TIME) ? clock : row.getLong(TradeEvent.RECEIVE_TIME);
        ending.processTime = row.getLong(TradeEvent.PROCESS_TIME);
        if (isOver(memory.spike, clock)) end(SPIKE, memory.spike, out);
        if (isOver(memory.volume, clock)) end(VOLUME, memory.volume, out);
        if (isOver(memory.burst, clock)) end(BURST, memory.burst, out);
    }

    private boolean isOver(Lasting alert, long clock) {
        return alert.episode.open && clock >= alert.until + MINUTE + lateness;
    }

    private void end(String rule, Lasting alert, Consumer<Alert> out) {
        ending.time = alert.until;
        alert.episode.ends(rule, ending, alert.value, alert.threshold, out);
    }

    /** A trade has become part of its minute. */
    void on(TradeEvent trade, Candle minute, Limits limits, Memory memory, MapView<String, Past> past, Consumer<Alert> out)
            throws Exception {
        if (memory.usualOf != minute.open_time) recall(minute.open_time, memory, past.get(""));
        String heavy = minute.bought >= minute.sold ? "buy" : "sell";
        double rise = minute.high / minute.open - 1;
        double fall = minute.low / minute.open - 1;
        double change = rise >= -fall ? rise : fall;
        double most = limits.get(SPIKE);
        if (Math.abs(change) > most) {
            hold(SPIKE, trade, minute, memory.spike, true, change > 0 ? "buy" : "sell", change, most, limits, out);
        }
        double usual = limits.get("volume_spike_usual") * memory.usualVolume;
        double volume = usual > 0 ? usual : limits.get(VOLUME);
        if (minute.quote_volume > volume) {
            hold(VOLUME, trade, minute, memory.volume, false, heavy, minute.quote_volume, volume, limits, out);
        }
        double count = limits.get(BURST) * memory.usualTrades;
        if (minute.trades > count) {
            hold(BURST, trade, minute, memory.burst, false, heavy, minute.trades, count, limits, out);
        }
    }

    private void hold(
            String rule, TradeEvent trade, Candle minute, Lasting alert, boolean high, String side, double value,
            double threshold, Limits limits, Consumer<Alert> out) {
        Episode episode = alert.episode;
        if (episode.open && minute.open_time > alert.until) end(rule, alert, out);
        alert.until = episode.open ? Math.max(alert.until, minute.close_time) : minute.close_time;
        episode.extreme = episode.open && Math.abs(episode.extreme) >= Math.abs(value) ? episode.extreme : value;
        episode.side = side;
        episode.holds(rule, trade, minute.open_time, high, value, threshold, limits, out);
        alert.value = value;
        alert.threshold = threshold;
    }

    /** A minute has closed: remember it, with as many others as any minute that may still have trades looks back to. */
    static void keep(Candle minute, long lateness, MapView<String, Past> pasts) throws Exception {
        Past past = pasts.get("");
        if (past == null) past = new Past();
        int at = -Arrays.binarySearch(past.opened, minute.open_time) - 1;
        if (at < 0) return;
        int from = past.opened.length < KEPT + 2 + lateness / MINUTE ? 0 : 1;
        if (at < from) return;
        past.opened = with(past.opened, minute.open_time, at, from);
        past.trades = with(past.trades, minute.trades, at, from);
        past.volumes = with(past.volumes, minute.quote_volume, at, from);
        pasts.put("", past);
    }

    private static long[] with(long[] values, long value, int at, int from) {
        long[] made = new long[values.length + 1 - from];
        System.arraycopy(values, from, made, 0, at - from);
        made[at - from] = value;
        System.arraycopy(values, at, made, at - from + 1, values.length - at);
        return made;
    }

    private static double[] with(double[] values, double value, int at, int from) {
        double[] made = new double[values.length + 1 - from];
        System.arraycopy(values, from, made, 0, at - from);
        made[at - from] = value;
        System.arraycopy(values, at, made, at - from + 1, values.length - at);
        return made;
    }

    /** What is usual: the medians of the last minutes with trades that had closed when this one began. */
    private void recall(long opened, Memory memory, Past past) {
        memory.usualOf = opened;
        int to = 0;
        while (past != null && to < past.opened.length && past.opened[to] + MINUTE + lateness <= opened) to++;
        int from = Math.max(0, to - KEPT);
        memory.usualTrades = to - from < KNOWN_FROM ? Double.NaN : median(past.trades, from, to);
        memory.usualVolume = to - from < KNOWN_FROM ? Double.NaN : median(past.volumes, from, to);
    }

    private static double median(double[] values, int from, int to) {
        double[] sorted = Arrays.copyOfRange(values, from, to);
        Arrays.sort(sorted);
        return (sorted[(sorted.length - 1) / 2] + sorted[sorted.length / 2]) / 2;
    }
}
