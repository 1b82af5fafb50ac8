package dev.marketpipeline.flink.book;

import java.util.function.Consumer;
import org.apache.flink.table.api.dataview.MapView;

/**
 * The book reduced to a row a second, and those to a row a window: what its columns mean is said of `BookStatistics`.
 *
 * <p>An event counts in the second that the symbol's clock is in, which never goes back. A second, and a window, is told
 * when an event of a later one comes.
 */
final class Statistics {
    private static final long SECOND = 1_000_000;

    /** The window that is on, as state and as a row; of the slopes also how many seconds had one. */
    public static class Row {
        public String interval;
        public long open_time;
        public long close_time;
        public long events;
        public double mid;
        public double spread_bps;
        public double imbalance;
        public double weighted_imbalance;
        public Double bid_depth;
        public Double ask_depth;
        public double lowest_imbalance;
        public long lowest_imbalance_time;
        public double highest_imbalance;
        public long highest_imbalance_time;
        public double lowest_spread_bps;
        public long lowest_spread_time;
        public double highest_spread_bps;
        public long highest_spread_time;
        public double order_flow_imbalance;
        public Double bid_slope;
        public Double ask_slope;
        public Double normal_spread_bps;
        public long receive_time;
        public long bid_slopes;
        public long ask_slopes;

        private Row(String interval, long opened, long width) {
            this.interval = interval;
            open_time = opened;
            close_time = opened + width;
            lowest_imbalance = lowest_spread_bps = Double.POSITIVE_INFINITY;
            highest_imbalance = highest_spread_bps = Double.NEGATIVE_INFINITY;
        }

        /** For Flink. */
        public Row() {}

        private void reach(double imbalance, long imbalanceTime, double spread, long spreadTime) {
            if (imbalance < lowest_imbalance) {
                lowest_imbalance = imbalance;
                lowest_imbalance_time = imbalanceTime;
            }
            if (imbalance > highest_imbalance) {
                highest_imbalance = imbalance;
                highest_imbalance_time = imbalanceTime;
            }
            if (spread < lowest_spread_bps) {
                lowest_spread_bps = spread;
                lowest_spread_time = spreadTime;
            }
            if (spread > highest_spread_bps) {
                highest_spread_bps = spread;
                highest_spread_time = spreadTime;
            }
        }

        private void add(BookEvent book, double flow, double normalSpread) {
            events++;
            mid = book.mid;
            spread_bps = book.spreadBps;
            imbalance = book.imbalance;
            weighted_imbalance = book.weightedImbalance;
            bid_depth = known(book.bidDepth);
            ask_depth = known(book.askDepth);
            reach(book.imbalance, book.time, book.spreadBps, book.time);
            order_flow_imbalance += flow;
            bid_slope = known(book.bidSlope);
            ask_slope = known(book.askSlope);
            normal_spread_bps = known(normalSpread);
            receive_time = book.receiveTime;
        }

        private void add(Row second) {
            events += second.events;
            mid = second.mid;
            spread_bps = second.spread_bps;
            imbalance = second.imbalance;
            weighted_imbalance = second.weighted_imbalance;
            bid_depth = second.bid_depth;
            ask_depth = second.ask_depth;
            reach(second.lowest_imbalance, second.lowest_imbalance_time, second.lowest_spread_bps, second.lowest_spread_time);
            reach(second.highest_imbalance, second.highest_imbalance_time, second.highest_spread_bps, second.highest_spread_time);
            order_flow_imbalance += second.order_flow_imbalance;
            bid_slope = mean(bid_slope, bid_slopes, second.bid_slope);
            ask_slope = mean(ask_slope, ask_slopes, second.ask_slope);
            if (second.bid_slope != null) bid_slopes++;
            if (second.ask_slope != null) ask_slopes++;
            normal_spread_bps = second.normal_spread_bps;
            receive_time = second.receive_time;
        }

        private static Double mean(Double mean, long count, Double value) {
            if (value == null) return mean;
            return mean == null ? value : mean + (value - mean) / (count + 1);
        }

        private static Double known(double value) {
            return Double.isNaN(value) ? null : value;
        }
    }

    /** State of a symbol: the best quotes before, and the second that is on. */
    public static class Memory {
        public double bid = Double.NaN;
        public double bidQuantity;
        public double ask;
        public double askQuantity;
        public Row second;
    }

    private final String[] intervals;
    private final long[] widths;

    /** @param windows {@code 1m=60000000,5m=300000000}, or nothing. */
    Statistics(String windows) {
        String[] parts = windows.isEmpty() ? new String[0] : windows.split(",");
        intervals = new String[parts.length];
        widths = new long[parts.length];
        for (int n = 0; n < parts.length; n++) {
            intervals[n] = parts[n].substring(0, parts[n].indexOf('='));
            widths[n] = Long.parseLong(parts[n].substring(parts[n].indexOf('=') + 1));
        }
    }

    /** Take in an event of the second `now`, and the normal spread as of it. */
    void on(BookEvent book, long now, double normalSpread, Memory memory, MapView<Integer, Row> windows, Consumer<Row> out)
            throws Exception {
        if (memory.second != null && memory.second.open_time < now * SECOND) {
            out.accept(memory.second);
            for (int n = 0; n < widths.length; n++) collect(n, memory.second, now * SECOND, windows, out);
            memory.second = null;
        }
        if (memory.second == null) memory.second = new Row("1s", now * SECOND, SECOND);
        memory.second.add(book, flow(book, memory), normalSpread);
        memory.bid = book.bestBid;
        memory.bidQuantity = book.bestBidQuantity;
        memory.ask = book.bestAsk;
        memory.askQuantity = book.bestAskQuantity;
    }

    private void collect(int n, Row second, long now, MapView<Integer, Row> windows, Consumer<Row> out) throws Exception {
        Row window = windows.get(n);
        if (window == null) {
            window = new Row(intervals[n], second.open_time - Math.floorMod(second.open_time, widths[n]), widths[n]);
        }
        window.add(second);
        if (window.close_time <= now) {
            out.accept(window);
            windows.remove(n);
        } else {
            windows.put(n, window);
        }
    }

    private static double flow(BookEvent book, Memory before) {
        if (Double.isNaN(before.bid)) return 0;
        double flow = 0;
        if (book.bestBid >= before.bid) flow += book.bestBidQuantity;
        if (book.bestBid <= before.bid) flow -= before.bidQuantity;
        if (book.bestAsk <= before.ask) flow -= book.bestAskQuantity;
        if (book.bestAsk >= before.ask) flow += before.askQuantity;
        return flow;
    }
}
