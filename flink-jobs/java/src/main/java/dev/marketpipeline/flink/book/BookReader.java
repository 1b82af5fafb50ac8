package dev.marketpipeline.flink.book;

import dev.marketpipeline.flink.json.PlainJson;
import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.util.Collector;

/**
 * A record of the book's topic as a row of its measures: its levels are summed up as they are read, and never are a row.
 *
 * <p>Every record makes a row. `measured` says that it has measures, `error` what is wrong with one that should have; what
 * has neither is a heartbeat, or an update that another writer of the symbol has sent before. Which update is the newest is
 * no state: a symbol is in one partition, which one task reads, and what is given twice after a restart is one row by its
 * key.
 */
final class BookReader extends PlainJson implements DeserializationSchema<RowData> {
    /** What Flink's own reader reads of a record that is not plain. */
    static final String RECORD = "ROW<`type` STRING, v BIGINT, symbol STRING, event_time BIGINT, receive_time BIGINT, "
            + "update_id BIGINT, bids ARRAY<ARRAY<DOUBLE>>, asks ARRAY<ARRAY<DOUBLE>>>";

    private static final List<String> FIELDS =
            List.of("type", "v", "symbol", "event_time", "receive_time", "update_id", "bids", "asks");
    private static final int TYPE = 0;
    private static final int VERSION = 1;
    private static final int SYMBOL = 2;
    private static final int EVENT_TIME = 3;
    private static final int RECEIVE_TIME = 4;
    private static final int UPDATE_ID = 5;
    private static final int BIDS = 6;
    private static final int ASKS = 7;

    private static final List<String> MADE = List.of("event_time_estimated", "process_time", "measured", "error");
    private static final StringData BOOK = StringData.fromString("book");
    private static final StringData HEARTBEAT = StringData.fromString("heartbeat");
    private static final StringData INCOMPLETE =
            StringData.fromString("no book event of version 1 with its symbol, update_id and receive_time");
    private static final StringData EMPTY =
            StringData.fromString("a side of the book is empty, so that there is no mid price");

    private static final long serialVersionUID = 1L;

    private final DeserializationSchema<RowData> whole;
    private final TypeInformation<RowData> produced;
    private final byte[][] names = bytes(FIELDS);
    private final int columns;
    private final int[] fields;
    private final int[] made;
    private final int[] measured;
    private final int calculate;
    private final double withinBps;
    private transient Object[] values;
    private transient boolean[] known;
    private transient BookMeasures measures;
    private transient Map<StringData, Newest> newest;

    /**
     * @param columns names of the table's columns, each one that this reader knows
     * @param whole Flink's reader of {@link #RECORD}
     */
    BookReader(
            List<String> columns, TypeInformation<RowData> produced, DeserializationSchema<RowData> whole, int calculate,
            double withinBps) {
        this.whole = whole;
        this.produced = produced;
        this.columns = columns.size();
        this.calculate = calculate;
        this.withinBps = withinBps;
        fields = places(FIELDS.subList(0, BIDS), columns);
        made = places(MADE, columns);
        measured = places(BookMeasures.NAMES, columns);
        if (this.columns != fields.length + made.length + measured.length) {
            throw new ValidationException("the columns of a measured book are others: " + columns);
        }
    }

    private static int[] places(List<String> names, List<String> columns) {
        int[] found = names.stream().mapToInt(columns::indexOf).toArray();
        for (int n = 0; n < found.length; n++) {
            if (found[n] < 0) throw new ValidationException("a measured book has a column " + names.get(n));
        }
        return found;
    }

    @Override
    public void open(InitializationContext context) throws Exception {
        whole.open(context);
    }

    @Override
    public boolean isEndOfStream(RowData next) {
        return false;
    }

    @Override
    public TypeInformation<RowData> getProducedType() {
        return produced;
    }

    @Override
    public RowData deserialize(byte[] message) throws IOException {
        if (measures == null) start();
        clear();
        if (read(message)) return row();
        RowData record = whole.deserialize(message);
        return record == null ? null : row(record);
    }

    @Override
    public void deserialize(byte[] message, Collector<RowData> out) throws IOException {
        RowData row = deserialize(message);
        if (row != null) out.collect(row);
    }

    private void start() {
        values = new Object[BIDS];
        known = new boolean[names.length];
        measures = new BookMeasures(calculate, withinBps);
        newest = new HashMap<>();
    }

    private void clear() {
        for (int n = 0; n < values.length; n++) values[n] = null;
        for (int n = 0; n < known.length; n++) known[n] = false;
        measures.clear();
    }

    @Override
    protected int field(int next, byte[] data, int start, int end) {
        int field = among(names, next, data, start, end);
        if (field < 0) {
            skip();
            return next - 1; // the one that was likely is so for the next name
        }
        if (known[field]) throw NotPlain.IT;
        known[field] = true;
        if (isNull()) return field;
        switch (field) {
            case TYPE, SYMBOL -> values[field] = StringData.fromBytes(text());
            case BIDS -> levels(measures.bids);
            case ASKS -> levels(measures.asks);
            default -> values[field] = integer();
        }
        return field;
    }

    private void levels(Levels into) {
        if (isEmpty()) return;
        do {
            expect('[');
            double price = number();
            expect(',');
            into.add(price, number());
            expect(']');
        } while (!ends());
    }

    /** Of a record that Flink has read. */
    RowData row(RowData record) {
        if (measures == null) start();
        clear();
        for (int n = 0; n < BIDS; n++) {
            if (record.isNullAt(n)) continue;
            values[n] = n == TYPE || n == SYMBOL ? record.getString(n) : (Object) record.getLong(n);
        }
        if (!record.isNullAt(BIDS)) levels(record.getArray(BIDS), measures.bids);
        if (!record.isNullAt(ASKS)) levels(record.getArray(ASKS), measures.asks);
        return row();
    }

    private static void levels(ArrayData levels, Levels into) {
        for (int n = 0; n < levels.size(); n++) {
            ArrayData level = levels.isNullAt(n) ? null : levels.getArray(n);
            boolean whole = level != null && level.size() >= 2 && !level.isNullAt(0) && !level.isNullAt(1);
            into.add(whole ? level.getDouble(0) : Double.NaN, whole ? level.getDouble(1) : Double.NaN);
        }
    }

    private GenericRowData row() {
        GenericRowData row = new GenericRowData(columns);
        for (int n = 0; n < BIDS; n++) row.setField(fields[n], values[n]);
        Long eventTime = (Long) values[EVENT_TIME];
        Long receiveTime = (Long) values[RECEIVE_TIME];
        row.setField(fields[EVENT_TIME], eventTime == null ? receiveTime : eventTime);
        row.setField(made[0], eventTime == null);
        row.setField(made[1], System.currentTimeMillis() * 1_000);
        boolean first = Long.valueOf(1).equals(values[VERSION]);
        boolean whole = first && BOOK.equals(values[TYPE]) && values[SYMBOL] != null && values[UPDATE_ID] != null;
        boolean isMeasured = false;
        if (!whole || receiveTime == null) {
            if (!first || !HEARTBEAT.equals(values[TYPE])) row.setField(made[3], INCOMPLETE);
        } else if (isNew(receiveTime, eventTime)) {
            isMeasured = measures.fill(row, measured);
            if (!isMeasured) row.setField(made[3], EMPTY);
        }
        row.setField(made[2], isMeasured);
        return row;
    }

    private boolean isNew(long receiveTime, Long eventTime) {
        return newest.computeIfAbsent((StringData) values[SYMBOL], any -> new Newest())
                .take((Long) values[UPDATE_ID], eventTime == null ? receiveTime : eventTime, receiveTime, eventTime == null);
    }
}
