package dev.marketpipeline.flink.json;

import java.io.IOException;
import java.util.Arrays;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.table.data.GenericArrayData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.ArrayType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.util.Collector;

/** Reads a plain record whose fields are all columns, each once. One that is anything else is read by Flink's own reader. */
final class PlainJsonReader extends PlainJson implements DeserializationSchema<RowData> {
    private enum Kind {
        STRING, LONG, DOUBLE, BOOLEAN, DOUBLES, PAIRS, OTHER;

        static Kind of(LogicalType type) {
            switch (type.getTypeRoot()) {
                case VARCHAR:
                    return STRING;
                case BIGINT:
                    return LONG;
                case DOUBLE:
                    return DOUBLE;
                case BOOLEAN:
                    return BOOLEAN;
                case ARRAY:
                    Kind element = of(((ArrayType) type).getElementType());
                    return element == DOUBLE ? DOUBLES : element == DOUBLES ? PAIRS : OTHER;
                default:
                    return OTHER;
            }
        }
    }

    private static final long serialVersionUID = 1L;

    private final DeserializationSchema<RowData> whole;
    private final byte[][] names;
    private final Kind[] kinds;
    private transient GenericRowData row;
    private transient double[] numbers;
    private transient Object[] pairs;

    PlainJsonReader(RowType type, DeserializationSchema<RowData> whole) {
        this.whole = whole;
        names = bytes(type.getFieldNames());
        kinds = type.getChildren().stream().map(Kind::of).toArray(Kind[]::new);
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
        return whole.getProducedType();
    }

    @Override
    public RowData deserialize(byte[] message) throws IOException {
        return isPlain(message) ? row : whole.deserialize(message);
    }

    @Override
    public void deserialize(byte[] message, Collector<RowData> out) throws IOException {
        if (isPlain(message)) out.collect(row);
        else whole.deserialize(message, out);
    }

    private boolean isPlain(byte[] message) {
        if (numbers == null) {
            numbers = new double[64];
            pairs = new Object[64];
        }
        row = new GenericRowData(names.length);
        return read(message);
    }

    @Override
    protected int field(int next, byte[] data, int start, int end) {
        int field = among(names, next, data, start, end);
        if (field < 0 || row.getField(field) != null) throw NotPlain.IT;
        row.setField(field, isNull() ? null : value(kinds[field]));
        return field;
    }

    private Object value(Kind kind) {
        switch (kind) {
            case STRING:
                return StringData.fromBytes(text());
            case LONG:
                return integer();
            case DOUBLE:
                return number();
            case BOOLEAN:
                return truth();
            case DOUBLES:
                return doubles();
            case PAIRS:
                return pairs();
            default:
                throw NotPlain.IT;
        }
    }

    private GenericArrayData doubles() {
        if (isEmpty()) return new GenericArrayData(new double[0]);
        for (int count = 0; ; ) {
            if (count == numbers.length) numbers = Arrays.copyOf(numbers, count * 2);
            numbers[count++] = number();
            if (ends()) return new GenericArrayData(Arrays.copyOf(numbers, count));
        }
    }

    private GenericArrayData pairs() {
        if (isEmpty()) return new GenericArrayData(new Object[0]);
        for (int count = 0; ; ) {
            if (count == pairs.length) pairs = Arrays.copyOf(pairs, count * 2);
            pairs[count++] = doubles();
            if (ends()) return new GenericArrayData(Arrays.copyOf(pairs, count));
        }
    }
}
