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

    /** Which entries had an id in a minute: the first `count` of these. */
    public static class Minute {
        public long[] entries = new long[8];
        public int count;
    }

    /**
     * State of a symbol: the first minute that is not forgotten, and the entry of the last id, which the next one is of as well
     * nearly always: it is newer than what the map has of it.
     */
    public static class Memory {
        public long oldest = Long.MIN_VALUE;
        public long entry;
        public Ids ids;
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
        for (; memory.oldest < minute - minutes; memory.oldest++) forget(memory, seen, written);
        Ids ids = entry(id >> BITS, memory, seen);
        long bit = 1L << id;
        if ((ids.bits & bit) != 0) return false;
        ids.bits |= bit;
        if (ids.minute != minute) {
            ids.minute = minute;
            note(id >> BITS, minute, written);
        }
        return true;
    }

    private static Ids entry(long entry, Memory memory, MapView<Long, Ids> seen) throws Exception {
        if (memory.ids != null && memory.entry == entry) return memory.ids;
        if (memory.ids != null) seen.put(memory.entry, memory.ids);
        memory.entry = entry;
        memory.ids = seen.get(entry);
        if (memory.ids == null) memory.ids = new Ids();
        return memory.ids;
    }

    private static void note(long entry, long minute, MapView<Long, Minute> written) throws Exception {
        Minute noted = written.get(minute);
        if (noted == null) noted = new Minute();
        if (noted.count == noted.entries.length) noted.entries = Arrays.copyOf(noted.entries, noted.count * 2);
        noted.entries[noted.count++] = entry;
        written.put(minute, noted);
    }

    private static void forget(Memory memory, MapView<Long, Ids> seen, MapView<Long, Minute> written) throws Exception {
        long minute = memory.oldest;
        Minute noted = written.get(minute);
        if (noted == null) return;
        for (int n = 0; n < noted.count; n++) {
            long entry = noted.entries[n];
            boolean isLast = memory.ids != null && memory.entry == entry;
            Ids ids = isLast ? memory.ids : seen.get(entry);
            if (ids == null || ids.minute != minute) continue;
            seen.remove(entry);
            if (isLast) memory.ids = null;
        }
        written.remove(minute);
    }
}
