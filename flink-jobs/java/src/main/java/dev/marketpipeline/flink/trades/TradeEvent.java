package dev.marketpipeline.flink.trades;

import dev.marketpipeline.flink.Event;
import org.apache.flink.table.data.RowData;

/** A trade; its `time` is that of the match. */
public final class TradeEvent extends Event {
    /**
     * What the function of the rules reads: `reached` is the time that a trade or heartbeat moves the symbol's clock
     * to, a heartbeat has no trade_id, and `limits` is null but in rows that are a change of the thresholds.
     */
    static final String ROW = "ROW<symbol STRING, reached BIGINT, trade_time BIGINT, receive_time BIGINT, "
            + "process_time BIGINT, trade_id BIGINT, price DOUBLE, quantity DOUBLE, taker_side STRING, "
            + "limits MAP<STRING, DOUBLE>>";

    static final int SYMBOL = 0;
    static final int REACHED = 1;
    static final int RECEIVE_TIME = 3;
    static final int PROCESS_TIME = 4;
    static final int TRADE_ID = 5;
    static final int LIMITS = 9;

    public long id;
    public double price;
    public double quantity;
    public String takerSide;

    void read(RowData row) {
        symbol = row.getString(SYMBOL).toString();
        time = row.getLong(2);
        receiveTime = row.getLong(RECEIVE_TIME);
        processTime = row.getLong(PROCESS_TIME);
        id = row.getLong(TRADE_ID);
        price = row.getDouble(6);
        quantity = row.getDouble(7);
        takerSide = row.getString(8).toString();
    }

    /** Quote units. */
    public double value() {
        return price * quantity;
    }
}
