package dev.marketpipeline.flink.book;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import org.apache.flink.table.data.GenericArrayData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.util.Collector;
import org.junit.jupiter.api.Test;

/** Which books are measured; what the measures are is held against the oracle of the tests of the job. */
class BookMeasuresTest {
    private static final long START = 1_723_161_240_000_000L;

    private final List<BookMeasures.Measures> found = new ArrayList<>();
    private final BookMeasures function = new BookMeasures();

    BookMeasuresTest() {
        function.setCollector(new Collector<>() {
            @Override
            public void collect(BookMeasures.Measures measures) {
                found.add(measures);
            }

            @Override
            public void close() {}
        });
    }

    private int measured(String symbol, Long id, Long seconds, double bid) {
        Object[] levels = {new GenericArrayData(new double[] {bid, 1})};
        GenericRowData row = new GenericRowData(11);
        row.setField(2, StringData.fromString(symbol));
        row.setField(3, seconds == null ? null : START + seconds * 1_000_000);
        row.setField(4, START);
        row.setField(5, id);
        row.setField(6, new GenericArrayData(bid == 0 ? new Object[0] : levels));
        row.setField(7, new GenericArrayData(new Object[] {new GenericArrayData(new double[] {102, 3})}));
        function.eval(row, 10, 1.0);
        return found.size();
    }

    @Test
    void ofTwoWritersTheOneThatComesLaterIsLeftOut() {
        assertEquals(1, measured("a:B", 7L, 1L, 100));
        assertEquals(2, measured("a:B", 8L, 2L, 100));
        assertEquals(2, measured("a:B", 7L, 1L, 100));
        assertEquals(2, measured("a:B", 8L, 2L, 100));
        assertEquals(3, measured("a:B", 9L, 2L, 100));
        assertEquals(4, measured("a:C", 8L, 2L, 100), "another symbol has ids of its own");
        assertEquals(-0.5, found.get(3).imbalance);
    }

    @Test
    void anExchangeThatCountsAnewIsFollowed() {
        assertEquals(1, measured("a:B", 900L, 1L, 100));
        assertEquals(2, measured("a:B", 1L, 3L, 100));
        assertEquals(3, measured("a:B", 2L, 3L, 100));
    }

    @Test
    void whatCannotBeMeasuredSaysWhy() {
        measured("a:B", 7L, null, 0);
        assertEquals("a side of the book is empty, so that there is no mid price", found.get(0).error);
        assertEquals(2, measured("a:B", null, 1L, 100), "a record without an id is told, not left out");
    }
}
