package dev.marketpipeline.flink.trades;

import java.util.Arrays;
import org.apache.flink.table.api.dataview.MapView;

/**
 * Ids of trades that came, known for a while by the clock of the machine. Exchanges count trades up: 64 ids are an entry,
 * a bit for each.
 *
 * <p>Flink's own time to live is not used: on the heap it looks at every entry of a map whenever one is asked for.
 */
final class Seen {
    private static final long MINUTE = 60_000_000;
    private static final int BITS = 6;

    /** A bit for each id that came, and the minute in which the last of them did. */
    public static class Ids {
        public long bits;
        public long minute;
    }

    /** Which entries had an id in a minute. */
    public static class Minute {
        public long[] entries = new long[0];
    }

    /** State of a symbol: the first minute that is not forgotten. */
    public static class Memory {
        public long oldest = Long.MIN_VALUE;
    }

    private final long minutes;

    /** @param kept how long an id is known at least, in milliseconds. */
    Seen(long kept) {
        minutes = kept / 60_000 + 1;
    }

    /** Whether the id comes for the first time; `now` in microseconds. */
    boolean take(long id, long now, Memory memory, MapView<Long, Ids> seen, MapView<Long, Minute> written)
            throws Exception {
        long minute = Math.max(memory.oldest, now / MINUTE);
        if (memory.oldest == Long.MIN_VALUE) memory.oldest = minute;
        for (; memory.oldest < minute - minutes; memory.oldest++) forget(memory.oldest, seen, written);
        Ids ids = seen.get(id >> BITS);
        if (ids == null) ids = new Ids();
        long bit = 1L << id;
        if ((ids.bits & bit) != 0) return false;
        ids.bits |= bit;
        if (ids.minute != minute) {
            ids.minute = minute;
            note(id >> BITS, minute, written);
        }
        seen.put(id >> BITS, ids);
        return true;
    }

    private static void note(long entry, long minute, MapView<Long, Minute> written) throws Exception {
        Minute noted = written.get(minute);
        if (noted == null) noted = new Minute();
        noted.entries = Arrays.copyOf(noted.entries, noted.entries.length + 1);
        noted.entries[noted.entries.length - 1] = entry;
        written.put(minute, noted);
    }

    private static void forget(long minute, MapView<Long, Ids> seen, MapView<Long, Minute> written) throws Exception {
        Minute noted = written.get(minute);
        if (noted == null) return;
        for (long entry : noted.entries) {
            Ids ids = seen.get(entry);
            if (ids != null && ids.minute == minute) seen.remove(entry);
        }
        written.remove(minute);
    }
}
