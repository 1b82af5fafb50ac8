package dev.marketpipeline.flink;

/** What a rule looks at, one object for all events of a task: a rule keeps nothing of it but in its memory. */
public abstract class Event {
    public String symbol;
    /** The exchange's time of it, or the receive time where there is none; microseconds, as all times. */
    public long time;
    public long receiveTime;
    public long processTime;
}
