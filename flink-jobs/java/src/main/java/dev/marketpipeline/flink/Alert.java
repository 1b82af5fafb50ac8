package dev.marketpipeline.flink;

import java.util.function.Consumer;

/** A row of the alerts' topic; what its columns mean is said of the record `Alert`. Times are microseconds. */
public class Alert {
    public static final String OPEN = "open";
    public static final String ESCALATED = "escalated";
    public static final String CLOSED = "closed";

    public String id;
    public String rule;
    public String severity;
    public String status;
    public String side;
    public long started_at;
    public Long ended_at;
    public long event_time;
    public double value;
    public double extreme;
    public double threshold;
    public Long trade_id;
    public long receive_time;
    public long process_time;
    public String made_of;

    /** Whether it is this row that opens it, and not one that tells it again. */
    public boolean opens;

    /** A row about an alert that began at `startedAt`, as of this event; its id is the same in every replay. */
    public static Alert of(String rule, Event event, long startedAt, String status, boolean high) {
        Alert made = new Alert();
        made.id = rule + ":" + event.symbol + ":" + startedAt;
        made.rule = rule;
        made.severity = high ? "HIGH" : "MEDIUM";
        made.status = status;
        made.started_at = startedAt;
        made.ended_at = status.equals(CLOSED) ? event.time : null;
        made.event_time = event.time;
        made.receive_time = event.receiveTime;
        made.process_time = event.processTime;
        return made;
    }

    /** Both rows of an alert that is open and closed in the same moment; `tradeId`, where there is one, ends its id. */
    public static void moment(
            String rule, Event event, boolean high, String side, double value, double threshold, Long tradeId,
            Consumer<Alert> out) {
        for (String status : new String[] {OPEN, CLOSED}) {
            Alert made = of(rule, event, event.time, status, high).measured(side, value, value, threshold);
            made.trade_id = tradeId;
            made.opens = status.equals(OPEN);
            if (tradeId != null) made.id += ":" + tradeId;
            out.accept(made);
        }
    }

    Alert measured(String side, double value, double extreme, double threshold) {
        this.side = side;
        this.value = value;
        this.extreme = extreme;
        this.threshold = threshold;
        return this;
    }
}
