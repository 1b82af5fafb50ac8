package dev.marketpipeline.flink.book;

import static org.apache.flink.table.annotation.ArgumentTrait.PASS_COLUMNS_THROUGH;
import static org.apache.flink.table.annotation.ArgumentTrait.ROW_SEMANTIC_TABLE;

import java.util.HashMap;
import java.util.Map;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.functions.ProcessTableFunction;

/**
 * Measures of every book event, as columns behind its own; definitions are with the record `BookMetrics`.
 *
 * <p>Of two writers of a symbol the one that comes later with an update is left out. Which update is the newest is no state:
 * a symbol is in one partition, which one task reads, and what is given twice after a restart is one row by its key.
 */
public class BookMeasures extends ProcessTableFunction<BookMeasures.Measures> {
    /** All null where `error` says why the book cannot be measured. */
    public static class Measures {
        public Double best_bid;
        public Double best_bid_quantity;
        public Double best_ask;
        public Double best_ask_quantity;
        public Double mid;
        public Double spread;
        public Double spread_bps;
        public Double imbalance;
        public Double weighted_imbalance;
        public Double vtob_ratio;
        public Double weighted_mid;
        public Double bid_quantity;
        public Double ask_quantity;
        public Double bid_depth;
        public Double ask_depth;
        public Double bid_slope;
        public Double ask_slope;
        public String error;
    }

    private static final String ROW = "ROW<`type` STRING, v BIGINT, symbol STRING, event_time BIGINT, "
            + "receive_time BIGINT, update_id BIGINT, bids ARRAY<ARRAY<DOUBLE>>, asks ARRAY<ARRAY<DOUBLE>>, "
            + "headers MAP<STRING, BYTES>, `partition` INT, `offset` BIGINT>";

    private static final int SYMBOL = 2;
    private static final int EVENT_TIME = 3;
    private static final int RECEIVE_TIME = 4;
    private static final int UPDATE_ID = 5;
    private static final int BIDS = 6;
    private static final int ASKS = 7;
    private static final String EMPTY = "a side of the book is empty, so that there is no mid price";

    /** Sums over one side. */
    private static final class Side {
        double price;
        double best;
        double quantity;
        double weighted;
        double depth;
        boolean reaches;
        private int counted;
        private double x;
        private double y;
        private double xx;
        private double xy;

        /** Whether there is a best level. */
        boolean open(ArrayData levels) {
            if (levels == null || levels.size() == 0 || levels.isNullAt(0)) return false;
            ArrayData first = levels.getArray(0);
            if (first.size() < 2 || first.isNullAt(0) || first.isNullAt(1)) return false;
            price = first.getDouble(0);
            best = first.getDouble(1);
            return price > 0 && best > 0;
        }

        /** Of the levels 1…N, and of those not beyond `limit`; `away` is −1 for bids and 1 for asks. */
        void sum(ArrayData levels, int calculate, double limit, int away) {
            quantity = weighted = depth = x = y = xx = xy = 0;
            counted = 0;
            reaches = false;
            for (int n = 0; n < levels.size(); n++) {
                if (levels.isNullAt(n)) continue;
                ArrayData level = levels.getArray(n);
                if (level.size() < 2 || level.isNullAt(0) || level.isNullAt(1)) continue;
                double at = level.getDouble(0);
                double held = level.getDouble(1);
                if (n < calculate) {
                    quantity += held;
                    weighted += held / (n + 1);
                    fit(Math.abs(at - price), quantity);
                }
                double beyond = (at - limit) * away;
                if (beyond <= 0) depth += at * held;
                reaches = beyond >= 0;
            }
        }

        /** A point of the line: how far behind the best price, and the quantity up to there. */
        private void fit(double distance, double cumulated) {
            counted++;
            x += distance;
            y += cumulated;
            xx += distance * distance;
            xy += distance * cumulated;
        }

        /** Base units per basis point of `mid`, by least squares; null with fewer than two prices. */
        Double slope(double mid) {
            double variance = counted * xx - x * x;
            return counted > 1 && variance > 0 ? (counted * xy - x * y) / variance * mid / 10_000 : null;
        }
    }

    private transient Side bid;
    private transient Side ask;
    private transient Map<StringData, Newest> newest;

    /** @param withinBps how far from the mid the depth is summed up, in basis points. */
    public void eval(
            @ArgumentHint(
                            value = {ROW_SEMANTIC_TABLE, PASS_COLUMNS_THROUGH},
                            type = @DataTypeHint(value = ROW, bridgedTo = RowData.class))
                    RowData input,
            Integer calculate,
            Double withinBps) {
        if (bid == null) {
            bid = new Side();
            ask = new Side();
            newest = new HashMap<>();
        }
        if (!isNew(input)) return;
        Measures found = new Measures();
        ArrayData bids = input.isNullAt(BIDS) ? null : input.getArray(BIDS);
        ArrayData asks = input.isNullAt(ASKS) ? null : input.getArray(ASKS);
        if (bid.open(bids) && ask.open(asks)) {
            double both = bid.price + ask.price;
            bid.sum(bids, calculate, both * ((1 - withinBps / 10_000) / 2), -1);
            ask.sum(asks, calculate, both * ((1 + withinBps / 10_000) / 2), 1);
            fill(found);
        } else {
            found.error = EMPTY;
        }
        collect(found);
    }

    /** What is no whole book is new: it is told elsewhere what is wrong with it. */
    private boolean isNew(RowData row) {
        if (row.isNullAt(SYMBOL) || row.isNullAt(RECEIVE_TIME) || row.isNullAt(UPDATE_ID)) return true;
        long received = row.getLong(RECEIVE_TIME);
        boolean estimated = row.isNullAt(EVENT_TIME);
        return newest.computeIfAbsent(row.getString(SYMBOL), symbol -> new Newest())
                .take(row.getLong(UPDATE_ID), estimated ? received : row.getLong(EVENT_TIME), received, estimated);
    }

    private void fill(Measures found) {
        double quantities = bid.quantity + ask.quantity;
        found.best_bid = bid.price;
        found.best_bid_quantity = bid.best;
        found.best_ask = ask.price;
        found.best_ask_quantity = ask.best;
        found.mid = (bid.price + ask.price) / 2;
        found.spread = ask.price - bid.price;
        found.spread_bps = found.spread / found.mid * 1e4;
        found.imbalance = (bid.quantity - ask.quantity) / quantities;
        found.weighted_imbalance = (bid.weighted - ask.weighted) / (bid.weighted + ask.weighted);
        found.vtob_ratio = (bid.best + ask.best) / quantities;
        found.weighted_mid = (bid.price * ask.best + ask.price * bid.best) / (bid.best + ask.best);
        found.bid_quantity = bid.quantity;
        found.ask_quantity = ask.quantity;
        found.bid_depth = bid.reaches ? bid.depth : null;
        found.ask_depth = ask.reaches ? ask.depth : null;
        found.bid_slope = bid.slope(found.mid);
        found.ask_slope = ask.slope(found.mid);
    }
}
