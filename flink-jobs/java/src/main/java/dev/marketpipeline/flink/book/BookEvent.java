package dev.marketpipeline.flink.book;

import dev.marketpipeline.flink.Event;
import org.apache.flink.table.data.RowData;

/** Measures of one update of the book; definitions are with the record `BookMetrics`. */
public final class BookEvent extends Event {
    /** What the function of the rules reads; `limits` is null but in rows that are a change of the thresholds. */
    static final String ROW = "ROW<symbol STRING, event_time BIGINT, receive_time BIGINT, process_time BIGINT, "
            + "update_id BIGINT, event_time_estimated BOOLEAN, mid DOUBLE, spread_bps DOUBLE, imbalance DOUBLE, "
            + "bid_quantity DOUBLE, ask_quantity DOUBLE, bid_depth DOUBLE, ask_depth DOUBLE, "
            + "weighted_imbalance DOUBLE, best_bid DOUBLE, best_bid_quantity DOUBLE, best_ask DOUBLE, "
            + "best_ask_quantity DOUBLE, bid_slope DOUBLE, ask_slope DOUBLE, limits MAP<STRING, DOUBLE>>";

    static final int LIMITS = 20;

    public long updateId;
    public boolean timeEstimated;
    public double mid;
    public double spreadBps;
    public double imbalance;
    public double bidQuantity;
    public double askQuantity;
    /** NaN where the known book does not reach that far. */
    public double bidDepth;

    public double askDepth;
    public double weightedImbalance;
    public double bestBid;
    public double bestBidQuantity;
    public double bestAsk;
    public double bestAskQuantity;
    /** NaN with fewer than two levels. */
    public double bidSlope;

    public double askSlope;

    void read(RowData row) {
        symbol = row.getString(0).toString();
        time = row.getLong(1);
        receiveTime = row.getLong(2);
        processTime = row.getLong(3);
        updateId = row.getLong(4);
        timeEstimated = row.getBoolean(5);
        mid = row.getDouble(6);
        spreadBps = row.getDouble(7);
        imbalance = row.getDouble(8);
        bidQuantity = row.getDouble(9);
        askQuantity = row.getDouble(10);
        bidDepth = row.isNullAt(11) ? Double.NaN : row.getDouble(11);
        askDepth = row.isNullAt(12) ? Double.NaN : row.getDouble(12);
        weightedImbalance = row.getDouble(13);
        bestBid = row.getDouble(14);
        bestBidQuantity = row.getDouble(15);
        bestAsk = row.getDouble(16);
        bestAskQuantity = row.getDouble(17);
        bidSlope = row.isNullAt(18) ? Double.NaN : row.getDouble(18);
        askSlope = row.isNullAt(19) ? Double.NaN : row.getDouble(19);
    }
}
