package dev.marketpipeline.flink.json;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.io.NumberOutput;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.RowType;

/** Writes a row of strings, numbers and booleans straight into bytes, with the values of Flink's JSON format. */
final class PlainJsonWriter implements SerializationSchema<RowData> {
    private enum Kind {
        STRING, LONG, INT, DOUBLE, BOOLEAN;

        /** Null for any other type. */
        static Kind of(LogicalType type) {
            switch (type.getTypeRoot()) {
                case CHAR:
                case VARCHAR:
                    return STRING;
                case BIGINT:
                    return LONG;
                case INTEGER:
                    return INT;
                case DOUBLE:
                    return DOUBLE;
                case BOOLEAN:
                    return BOOLEAN;
                default:
                    return null;
            }
        }
    }

    private static final long serialVersionUID = 1L;
    private static final int LONGEST_NUMBER = 40;
    private static final long PLACES = 100_000_000;
    private static final double MOST_DECIMAL = 9_000_000;

    private static final double LEAST_PLAIN = 1e-3;
    private static final double MOST_PLAIN = 1e7;
    private static final long[] POWERS = new long[19];

    static {
        POWERS[0] = 1;
        for (int n = 1; n < POWERS.length; n++) POWERS[n] = POWERS[n - 1] * 10;
    }

    private final byte[][] labels;
    private final Kind[] kinds;
    private final SerializationSchema<RowData> whole;
    private transient Shortest shortest;
    private transient byte[] out;
    private transient int at;

    /** This writer, or Flink's own where a column is of another type, or has a name that must be escaped. */
    static SerializationSchema<RowData> of(RowType type, SerializationSchema<RowData> whole) {
        Kind[] kinds = type.getChildren().stream().map(Kind::of).toArray(Kind[]::new);
        boolean plain = type.getFieldNames().stream().allMatch(name -> name.matches("[a-z_]+"));
        return plain && !Arrays.asList(kinds).contains(null) ? new PlainJsonWriter(type, kinds, whole) : whole;
    }

    private PlainJsonWriter(RowType type, Kind[] kinds, SerializationSchema<RowData> whole) {
        this.kinds = kinds;
        this.whole = whole;
        labels = new byte[kinds.length][];
        for (int n = 0; n < labels.length; n++) {
            String label = (n == 0 ? "{\"" : ",\"") + type.getFieldNames().get(n) + "\":";
            labels[n] = label.getBytes(StandardCharsets.US_ASCII);
        }
    }

    @Override
    public void open(InitializationContext context) throws Exception {
        whole.open(context);
    }

    @Override
    public byte[] serialize(RowData row) {
        if (out == null) {
            out = new byte[1024];
            shortest = new Shortest();
        }
        at = 0;
        for (int n = 0; n < kinds.length; n++) {
            bytes(labels[n]);
            if (row.isNullAt(n)) ascii("null");
            else if (!value(row, n)) return whole.serialize(row);
        }
        room(1);
        out[at++] = '}';
        return Arrays.copyOf(out, at);
    }

    /** False where Flink's own writer is to decide what is written. */
    private boolean value(RowData row, int n) {
        room(LONGEST_NUMBER);
        switch (kinds[n]) {
            case STRING:
                return text(row.getString(n).toBytes());
            case LONG:
                at = NumberOutput.outputLong(row.getLong(n), out, at);
                return true;
            case INT:
                at = NumberOutput.outputLong(row.getInt(n), out, at);
                return true;
            case DOUBLE:
                double value = row.getDouble(n);
                if (Double.isNaN(value) || Double.isInfinite(value)) return false;
                if (!decimal(value) && !shortest(value)) ascii(NumberOutput.toString(value, true));
                return true;
            default:
                ascii(row.getBoolean(n) ? "true" : "false");
                return true;
        }
    }

    /**
     * Write a number that has at most eight decimal places and fifteen digits, as prices and quantities do: no other number
     * so short is read as the same double, so that it is the shortest that is, and nothing has to be searched.
     */
    private boolean decimal(double value) {
        if (!(Math.abs(value) < MOST_DECIMAL)) return false;
        long scaled = Math.round(value * PLACES);
        if (scaled == 0 || scaled / (double) PLACES != value) return false; // nor a zero, which may be negative
        if (scaled < 0) out[at++] = '-';
        scaled = Math.abs(scaled);
        at = NumberOutput.outputLong(scaled / PLACES, out, at);
        out[at++] = '.';
        long rest = scaled % PLACES;
        long unit = PLACES / 10;
        do {
            out[at++] = (byte) ('0' + rest / unit);
            rest %= unit;
            unit /= 10;
        } while (rest > 0);
        return true;
    }

    /** Write any other number that has its point among its digits, or a few zeros behind it. */
    private boolean shortest(double value) {
        double size = Math.abs(value);
        if (!(size >= LEAST_PLAIN && size < MOST_PLAIN)) return false;
        if (value < 0) out[at++] = '-';
        shortest.of(size);
        long digits = shortest.digits;
        int places = -shortest.exponent;
        for (; digits % 10 == 0 && places > 1; places--) digits /= 10;
        long whole = places < POWERS.length ? digits / POWERS[places] : 0;
        at = NumberOutput.outputLong(whole, out, at);
        out[at++] = '.';
        long rest = places < POWERS.length ? digits - whole * POWERS[places] : digits;
        for (int place = at + places - 1; place >= at; place--) {
            out[place] = (byte) ('0' + rest % 10);
            rest /= 10;
        }
        at += places;
        return true;
    }

    private boolean text(byte[] value) {
        room(value.length + 2);
        out[at++] = '"';
        for (byte b : value) {
            if (b == '"' || b == '\\' || (b >= 0 && b < ' ')) return false;
            out[at++] = b;
        }
        out[at++] = '"';
        return true;
    }

    private void bytes(byte[] value) {
        room(value.length);
        System.arraycopy(value, 0, out, at, value.length);
        at += value.length;
    }

    @SuppressWarnings("deprecation") // of its characters only the low bytes are taken, which is what is wanted
    private void ascii(String text) {
        room(text.length());
        text.getBytes(0, text.length(), out, at);
        at += text.length();
    }

    private void room(int more) {
        if (at + more > out.length) out = Arrays.copyOf(out, Math.max(out.length * 2, at + more));
    }
}
