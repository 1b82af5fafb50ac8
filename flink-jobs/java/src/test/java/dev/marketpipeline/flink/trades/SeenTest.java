package dev.marketpipeline.flink.trades;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.apache.flink.table.api.dataview.MapView;
import org.junit.jupiter.api.Test;

/** Ids of trades are known for an hour, and then cost nothing. */
class SeenTest {
    private static final long MINUTE = 60_000_000;
    private static final long START = 28_719_354 * MINUTE;

    private final Seen seen = new Seen(3_600_000);
    private final Seen.Memory memory = new Seen.Memory();
    private final MapView<Long, Seen.Ids> ids = new MapView<>();
    private final MapView<Long, Seen.Minute> written = new MapView<>();

    private boolean take(long id, long minute) throws Exception {
        return seen.take(id, START + minute * MINUTE, memory, ids, written);
    }

    @Test
    void anIdIsTakenOnce() throws Exception {
        for (long id : new long[] {-65, -64, -1, 0, 1, 63, 64, 127, 128, Long.MAX_VALUE, Long.MIN_VALUE}) {
            assertTrue(take(id, 0), "" + id);
            assertFalse(take(id, 1), "" + id);
        }
    }

    @Test
    void itIsKnownForAnHourAfterTheLastOfItsEntry() throws Exception {
        take(1, 0);
        take(2, 30);
        assertFalse(take(1, 90), "an id of the same entry came sixty minutes ago");
        assertTrue(take(1_000, 92));
        assertTrue(take(1, 92), "nothing of its entry came for longer");
        assertEquals(1, ids.getMap().size(), "beside the entry of the last id");
    }

    @Test
    void whatIsForgottenIsGone() throws Exception {
        for (long minute = 0; minute < 600; minute++) {
            for (long id = 0; id < 100; id++) assertTrue(take(minute * 100 + id, minute));
        }
        assertTrue(written.getMap().size() <= 62, "" + written.getMap().size());
        assertTrue(ids.getMap().size() <= 62 * 3, "" + ids.getMap().size());
    }

    @Test
    void aClockThatGoesBackLosesNothing() throws Exception {
        take(1, 100);
        take(1_000, 162);
        assertTrue(take(2_000, 10));
        assertFalse(take(2_000, 11));
        for (long minute = 163; minute < 300; minute++) take(10_000 + minute * 64, minute);
        assertFalse(ids.contains(2_000L >> 6));
    }
}
