package dev.marketpipeline.flink.book;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.formats.common.TimestampFormat;
import org.apache.flink.formats.json.JsonParserRowDataDeserializationSchema;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.runtime.typeutils.InternalTypeInfo;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.table.types.logical.utils.LogicalTypeParser;
import org.junit.jupiter.api.Test;

/** Which books are measured, and that it is one reading; the measures are held against the oracle of the job's tests. */
class BookReaderTest {
    private static final long START = 1_723_161_240_000_000L;
    private static final List<String> COLUMNS = columns();
    private static final String ALPHABET = "0123456789.eE-+,:[]{}\"\\ntrueflsa \u00e9\n";

    private final BookReader reader = new BookReader(COLUMNS, null, flinks(), 10, 1.0);
    private final Random random = new Random(7);

    private static List<String> columns() {
        List<String> names = new ArrayList<>(List.of("symbol", "type", "v", "event_time", "receive_time", "update_id"));
        names.addAll(List.of("event_time_estimated", "process_time"));
        names.addAll(BookMeasures.NAMES);
        names.addAll(List.of("measured", "error"));
        return names;
    }

    private static DeserializationSchema<RowData> flinks() {
        RowType type = (RowType) LogicalTypeParser.parse(BookReader.RECORD, BookReader.class.getClassLoader());
        var found = new JsonParserRowDataDeserializationSchema(
                type, InternalTypeInfo.of(type), false, true, TimestampFormat.SQL);
        try {
            found.open(null);
        } catch (Exception failed) {
            throw new IllegalStateException(failed);
        }
        return found;
    }

    private static String record(String symbol, Object id, Long seconds, String bids) {
        Long time = seconds == null ? null : START + seconds * 1_000_000;
        return "{\"type\":\"book\",\"v\":1,\"symbol\":\"" + symbol + "\",\"event_time\":" + time + ",\"receive_time\":" + START
                + ",\"update_id\":" + id + ",\"previous_id\":null,\"bids\":" + bids
                + ",\"asks\":[[102,3],[102.5,1]],\"bid_contracts\":[1.5],\"process\":\"one\"}";
    }

    private static Object in(RowData row, String column) {
        return ((GenericRowData) row).getField(COLUMNS.indexOf(column));
    }

    private RowData read(String record) throws Exception {
        return reader.deserialize(record.getBytes(StandardCharsets.UTF_8));
    }

    private boolean isMeasured(String symbol, Long id, Long seconds) throws Exception {
        RowData row = read(record(symbol, id, seconds, "[[100.0,1]]"));
        assertNull(in(row, "error"));
        return (Boolean) in(row, "measured");
    }

    @Test
    void ofTwoWritersTheOneThatComesLaterIsLeftOut() throws Exception {
        assertTrue(isMeasured("a:B", 7L, 1L));
        assertTrue(isMeasured("a:B", 8L, 2L));
        assertFalse(isMeasured("a:B", 7L, 1L));
        assertFalse(isMeasured("a:B", 8L, 2L));
        assertTrue(isMeasured("a:B", 9L, 2L));
        assertTrue(isMeasured("a:C", 8L, 2L), "another symbol has ids of its own");
    }

    @Test
    void anExchangeThatCountsAnewIsFollowed() throws Exception {
        assertTrue(isMeasured("a:B", 900L, 1L));
        assertTrue(isMeasured("a:B", 1L, 3L));
        assertTrue(isMeasured("a:B", 2L, 3L));
    }

    @Test
    void whatCannotBeMeasuredSaysWhy() throws Exception {
        RowData empty = read(record("a:B", 7, null, "[]"));
        assertEquals("a side of the book is empty, so that there is no mid price", in(empty, "error").toString());
        assertNull(in(empty, "imbalance"));
        RowData anonymous = read(record("a:B", null, 1L, "[[100,1]]"));
        assertEquals(
                "no book event of version 1 with its symbol, update_id and receive_time", in(anonymous, "error").toString());
        RowData heartbeat = read("{\"type\":\"heartbeat\",\"v\":1,\"symbol\":\"a:B\",\"event_time\":1,\"receive_time\":2}");
        assertNull(in(heartbeat, "error"));
        assertFalse((Boolean) in(heartbeat, "measured"));
        assertNull(read("no JSON"));
    }

    @Test
    void aBookWithoutATimeHasThatOfItsReceipt() throws Exception {
        RowData row = read(record("a:B", 7, null, "[[100,1]]"));
        assertEquals(START, in(row, "event_time"));
        assertEquals(true, in(row, "event_time_estimated"));
        assertEquals(-0.6, in(row, "imbalance"));
    }

    @Test
    void columnsMustBeThoseThatAreRead() {
        List<String> others = new ArrayList<>(COLUMNS);
        others.set(3, "price");
        assertThrows(ValidationException.class, () -> new BookReader(others, null, flinks(), 10, 1.0));
    }

    private String mutated(int n) {
        StringBuilder bids = new StringBuilder("[");
        for (int level = random.nextInt(5); level >= 0; level--) {
            bids.append('[').append(random.nextInt(9_000_000) / 100.0).append(',');
            bids.append(random.nextDouble()).append(level == 0 ? "]]" : "],");
        }
        StringBuilder text = new StringBuilder(record("a:B", n, n / 8L, bids.toString()));
        for (int times = n < 1_000 ? -1 : random.nextInt(3); times >= 0 && text.length() > 1; times--) {
            int place = random.nextInt(text.length());
            char c = ALPHABET.charAt(random.nextInt(ALPHABET.length()));
            switch (random.nextInt(4)) {
                case 0 -> text.setCharAt(place, c);
                case 1 -> text.deleteCharAt(place);
                case 2 -> text.insert(place, c);
                default -> text.setLength(random.nextInt(8) == 0 ? place : text.length());
            }
        }
        return text.toString();
    }

    @Test
    void whatIsReadInOnePassIsWhatFlinkReads() throws Exception {
        DeserializationSchema<RowData> flinks = flinks();
        BookReader throughRows = new BookReader(COLUMNS, null, flinks, 10, 1.0);
        for (int n = 0; n < 30_000; n++) {
            String text = mutated(n);
            RowData record = flinks.deserialize(text.getBytes(StandardCharsets.UTF_8));
            RowData wanted = record == null ? null : throughRows.row(record);
            RowData found = read(text);
            if (wanted != null) ((GenericRowData) wanted).setField(COLUMNS.indexOf("process_time"), in(found, "process_time"));
            assertEquals(wanted, found, text);
        }
    }
}
