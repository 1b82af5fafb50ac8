package dev.marketpipeline.flink.patterns;

import dev.marketpipeline.flink.Event;
import org.apache.flink.table.data.RowData;

/** An alert that has opened; its `time` is that of the event which opened it. */
public final class AlertEvent extends Event {
    /** What the function of the patterns reads; `patterns` is null but in rows that are a change of the patterns. */
    static final String ROW = "ROW<symbol STRING, event_time BIGINT, receive_time BIGINT, process_time BIGINT, "
            + "id STRING, rule STRING, side STRING, patterns STRING>";

    static final int PATTERNS = 7;

    public String id;
    public String rule;
    public String side;

    void read(RowData row) {
        symbol = row.getString(0).toString();
        time = row.getLong(1);
        receiveTime = row.getLong(2);
        processTime = row.getLong(3);
        if (!row.isNullAt(PATTERNS)) return;
        id = row.getString(4).toString();
        rule = row.getString(5).toString();
        side = row.getString(6).toString();
    }
}
