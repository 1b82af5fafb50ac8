package dev.marketpipeline.flink.book;

/** The newest book of a symbol that was taken; two writers may send the same ones, each in order. */
public class Newest {
    private static final long SAME_IDS_TIME = 1_000_000;
    private static final long SAME_IDS_RECEIVE_TIME = 60_000_000;

    public long updateId = Long.MIN_VALUE;
    public long time;
    public long receiveTime;

    /**
     * Whether a book is newer, which it is from now on: by its id, or by its time where the exchange has begun to count
     * anew. `isEstimated` says that its time is the receive time, which differs between writers.
     */
    boolean take(long id, long at, long receivedAt, boolean isEstimated) {
        boolean idsGoOn = isEstimated ? receivedAt <= receiveTime + SAME_IDS_RECEIVE_TIME : at <= time + SAME_IDS_TIME;
        if (id <= updateId && idsGoOn) return false;
        updateId = id;
        time = at;
        receiveTime = receivedAt;
        return true;
    }
}
