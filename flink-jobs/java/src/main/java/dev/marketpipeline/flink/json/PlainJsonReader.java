package dev.marketpipeline.flink.json;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
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

/**
 * Reads a record in one pass over its bytes: no white space, each field once, no escapes, numbers as they are usually
 * written. A record that is anything else is read by Flink's own reader instead.
 */
final class PlainJsonReader implements DeserializationSchema<RowData> {
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

    /** The record is not plain. */
    private static final class NotPlain extends RuntimeException {
        private static final long serialVersionUID = 1L;
        static final NotPlain IT = new NotPlain();

        private NotPlain() {
            super("not plain", null, false, false);
        }
    }

    private static final long serialVersionUID = 1L;

    /** Up to 15 digits and these powers are exact in a double, so that their quotient is rounded as it should be. */
    private static final double[] POWERS = new double[23];

    private static final int EXACT_DIGITS = 15;
    private static final int LONG_DIGITS = 18;

    static {
        POWERS[0] = 1;
        for (int n = 1; n < POWERS.length; n++) POWERS[n] = POWERS[n - 1] * 10;
    }

    private final DeserializationSchema<RowData> whole;
    private final byte[][] names;
    private final Kind[] kinds;
    private transient byte[] data;
    private transient int at;
    private transient double[] numbers;
    private transient Object[] pairs;

    PlainJsonReader(RowType type, DeserializationSchema<RowData> whole) {
        this.whole = whole;
        names = type.getFieldNames().stream().map(n -> n.getBytes(StandardCharsets.UTF_8)).toArray(byte[][]::new);
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
        RowData row = plain(message);
        return row != null ? row : whole.deserialize(message);
    }

    @Override
    public void deserialize(byte[] message, Collector<RowData> out) throws IOException {
        RowData row = plain(message);
        if (row != null) out.collect(row);
        else whole.deserialize(message, out);
    }

    /** The row, or null where the record is not plain. */
    private RowData plain(byte[] message) {
        if (message == null) return null;
        if (numbers == null) {
            numbers = new double[64];
            pairs = new Object[64];
        }
        data = message;
        at = 0;
        try {
            return object();
        } catch (NotPlain | ArrayIndexOutOfBoundsException whether) { // the latter where it ends in the middle
            return null;
        }
    }

    private RowData object() {
        GenericRowData row = new GenericRowData(names.length);
        expect('{');
        for (int next = 0; ; ) {
            expect('"');
            int field = field(next);
            expect(':');
            if (row.getField(field) != null) throw NotPlain.IT;
            row.setField(field, value(kinds[field]));
            next = field + 1;
            byte c = data[at++];
            if (c == '}') break;
            if (c != ',') throw NotPlain.IT;
        }
        if (at != data.length) throw NotPlain.IT;
        return row;
    }

    /** Which column the name is that begins here; `next` is the likely one. */
    private int field(int next) {
        int start = at;
        byte c;
        while ((c = data[at]) != '"') {
            if (c == '\\') throw NotPlain.IT;
            at++;
        }
        int end = at++;
        if (next < names.length && isName(next, start, end)) return next;
        for (int n = 0; n < names.length; n++) if (isName(n, start, end)) return n;
        throw NotPlain.IT;
    }

    private boolean isName(int n, int start, int end) {
        return Arrays.equals(names[n], 0, names[n].length, data, start, end);
    }

    private Object value(Kind kind) {
        if (data[at] == 'n') {
            word("null");
            return null;
        }
        switch (kind) {
            case STRING:
                return StringData.fromBytes(text());
            case LONG:
                return integer();
            case DOUBLE:
                return number();
            case BOOLEAN:
                return data[at] == 't' ? word("true") : !word("false");
            case DOUBLES:
                return doubles();
            case PAIRS:
                return pairs();
            default:
                throw NotPlain.IT;
        }
    }

    private void expect(char c) {
        if (data[at++] != c) throw NotPlain.IT;
    }

    private boolean word(String word) {
        for (int n = 0; n < word.length(); n++) expect(word.charAt(n));
        return true;
    }

    private byte[] text() {
        expect('"');
        int start = at;
        byte c;
        while ((c = data[at]) != '"') {
            if (c == '\\' || c < ' ') throw NotPlain.IT; // what is not ASCII is below 0
            at++;
        }
        return Arrays.copyOfRange(data, start, at++);
    }

    private Long integer() {
        boolean negative = data[at] == '-';
        if (negative) at++;
        int start = at;
        long value = digits(0);
        int count = at - start;
        byte c = data[at];
        if (count == 0 || count > LONG_DIGITS || leadingZero(start, count) || c == '.' || c == 'e' || c == 'E') {
            throw NotPlain.IT;
        }
        return negative ? -value : value;
    }

    private long digits(long value) {
        byte c;
        while ((c = data[at]) >= '0' && c <= '9') {
            value = value * 10 + (c - '0');
            at++;
        }
        return value;
    }

    private boolean leadingZero(int start, int count) {
        return count > 1 && data[start] == '0';
    }

    private double number() {
        int start = at;
        boolean negative = data[at] == '-';
        if (negative) at++;
        int first = at;
        long mantissa = digits(0);
        int count = at - first;
        if (count == 0 || leadingZero(first, count)) throw NotPlain.IT;
        int places = 0;
        if (data[at] == '.') {
            int point = ++at;
            mantissa = digits(mantissa);
            places = at - point;
            if (places == 0) throw NotPlain.IT;
        }
        byte c = data[at];
        if (c == 'e' || c == 'E' || count + places > EXACT_DIGITS) return inexact(start);
        double value = mantissa / POWERS[places];
        return negative ? -value : value;
    }

    private double inexact(int start) {
        byte c;
        while ((c = data[at]) == '-' || c == '+' || c == '.' || c == 'e' || c == 'E' || (c >= '0' && c <= '9')) at++;
        try {
            return Double.parseDouble(new String(data, start, at - start, StandardCharsets.ISO_8859_1));
        } catch (NumberFormatException wrong) {
            throw NotPlain.IT;
        }
    }

    private GenericArrayData doubles() {
        expect('[');
        int count = 0;
        if (data[at] == ']') {
            at++;
            return new GenericArrayData(new double[0]);
        }
        while (true) {
            if (count == numbers.length) numbers = Arrays.copyOf(numbers, count * 2);
            numbers[count++] = number();
            if (ends()) return new GenericArrayData(Arrays.copyOf(numbers, count));
        }
    }

    private GenericArrayData pairs() {
        expect('[');
        int count = 0;
        if (data[at] == ']') {
            at++;
            return new GenericArrayData(new Object[0]);
        }
        while (true) {
            if (count == pairs.length) pairs = Arrays.copyOf(pairs, count * 2);
            pairs[count++] = doubles();
            if (ends()) return new GenericArrayData(Arrays.copyOf(pairs, count));
        }
    }

    /** Whether an array ends behind the element that was read, or another one follows. */
    private boolean ends() {
        byte c = data[at++];
        if (c == ',') return false;
        if (c != ']') throw NotPlain.IT;
        return true;
    }
}
