package dev.marketpipeline.flink.json;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * One pass over the bytes of a record that is plain: no white space, no escapes, nothing but ASCII, numbers as they are
 * usually written. What is anything else is {@link NotPlain}, and left to Flink's own reader by who reads.
 */
public abstract class PlainJson {
    /** The record is not plain. */
    protected static final class NotPlain extends RuntimeException {
        private static final long serialVersionUID = 1L;
        public static final NotPlain IT = new NotPlain();

        private NotPlain() {
            super("not plain", null, false, false);
        }
    }

    /** Up to 15 digits and these powers are exact in a double, so that their quotient is rounded as it should be. */
    private static final double[] POWERS = new double[23];

    private static final int EXACT_DIGITS = 15;
    private static final int LONG_DIGITS = 18;

    static {
        POWERS[0] = 1;
        for (int n = 1; n < POWERS.length; n++) POWERS[n] = POWERS[n - 1] * 10;
    }

    private transient byte[] data;
    private transient int at;

    /** Read the object that a message is; false where it is not plain. */
    protected final boolean read(byte[] message) {
        if (message == null) return false;
        data = message;
        at = 0;
        try {
            object();
            return at == message.length;
        } catch (NotPlain | ArrayIndexOutOfBoundsException whether) { // the latter where it ends in the middle
            return false;
        }
    }

    private void object() {
        expect('{');
        for (int next = 0; ; ) {
            expect('"');
            int start = at;
            byte c;
            while ((c = data[at]) != '"') {
                if (c == '\\' || c < ' ') throw NotPlain.IT;
                at++;
            }
            int end = at++;
            expect(':');
            next = field(next, data, start, end) + 1;
            c = data[at++];
            if (c == '}') return;
            if (c != ',') throw NotPlain.IT;
        }
    }

    /**
     * Read the value of the field whose name lies between two places.
     *
     * @param next the number of the field that is likely
     * @return the number of the field that it was
     */
    protected abstract int field(int next, byte[] data, int start, int end);

    /** Which of these names it is, `next` being the likely one; −1 for none of them. */
    protected static int among(byte[][] names, int next, byte[] data, int start, int end) {
        if (next < names.length && isName(names[next], data, start, end)) return next;
        for (int n = 0; n < names.length; n++) if (isName(names[n], data, start, end)) return n;
        return -1;
    }

    private static boolean isName(byte[] name, byte[] data, int start, int end) {
        return Arrays.equals(name, 0, name.length, data, start, end);
    }

    /** Names as they stand in a record. */
    protected static byte[][] bytes(Iterable<String> names) {
        List<byte[]> found = new ArrayList<>();
        for (String name : names) found.add(name.getBytes(StandardCharsets.UTF_8));
        return found.toArray(byte[][]::new);
    }

    /** Whether the value is a null, which is read then. */
    protected final boolean isNull() {
        return data[at] == 'n' && word("null");
    }

    protected final void expect(char c) {
        if (data[at++] != c) throw NotPlain.IT;
    }

    /** Whether an array has no element; it has been read then. */
    protected final boolean isEmpty() {
        expect('[');
        if (data[at] != ']') return false;
        at++;
        return true;
    }

    /** Whether an array ends behind the element that was read, or another one follows. */
    protected final boolean ends() {
        byte c = data[at++];
        if (c == ',') return false;
        if (c != ']') throw NotPlain.IT;
        return true;
    }

    /** Pass over any plain value but an object. */
    protected final void skip() {
        switch (data[at]) {
            case '"' -> text();
            case 'n' -> word("null");
            case 't' -> word("true");
            case 'f' -> word("false");
            case '[' -> {
                if (isEmpty()) return;
                do skip();
                while (!ends());
            }
            default -> number();
        }
    }

    private boolean word(String word) {
        for (int n = 0; n < word.length(); n++) expect(word.charAt(n));
        return true;
    }

    protected final boolean truth() {
        return data[at] == 't' ? word("true") : !word("false");
    }

    protected final byte[] text() {
        expect('"');
        int start = at;
        byte c;
        while ((c = data[at]) != '"') {
            if (c == '\\' || c < ' ') throw NotPlain.IT; // what is not ASCII is below 0
            at++;
        }
        return Arrays.copyOfRange(data, start, at++);
    }

    protected final long integer() {
        byte[] data = this.data;
        int place = at;
        boolean negative = data[place] == '-';
        if (negative) place++;
        int start = place;
        long value = 0;
        byte c;
        while ((c = data[place]) >= '0' && c <= '9') {
            value = value * 10 + (c - '0');
            place++;
        }
        int count = place - start;
        if (count == 0 || count > LONG_DIGITS || isLeadingZero(data, start, count) || c == '.' || c == 'e' || c == 'E') {
            throw NotPlain.IT;
        }
        at = place;
        return negative ? -value : value;
    }

    private static boolean isLeadingZero(byte[] data, int start, int count) {
        return count > 1 && data[start] == '0';
    }

    protected final double number() {
        byte[] data = this.data;
        int place = at;
        boolean negative = data[place] == '-';
        if (negative) place++;
        int first = place;
        long mantissa = 0;
        byte c;
        while ((c = data[place]) >= '0' && c <= '9') {
            mantissa = mantissa * 10 + (c - '0');
            place++;
        }
        int digits = place - first;
        if (digits == 0 || isLeadingZero(data, first, digits)) throw NotPlain.IT;
        int places = 0;
        if (c == '.') {
            int point = ++place;
            while ((c = data[place]) >= '0' && c <= '9') {
                mantissa = mantissa * 10 + (c - '0');
                place++;
            }
            places = place - point;
            if (places == 0) throw NotPlain.IT;
        }
        if (c == 'e' || c == 'E' || digits + places > EXACT_DIGITS) return inexact();
        at = place;
        double value = mantissa / POWERS[places];
        return negative ? -value : value;
    }

    private double inexact() {
        int start = at;
        byte c;
        while ((c = data[at]) == '-' || c == '+' || c == '.' || c == 'e' || c == 'E' || (c >= '0' && c <= '9')) at++;
        try {
            return Double.parseDouble(new String(data, start, at - start, StandardCharsets.ISO_8859_1));
        } catch (NumberFormatException wrong) {
            throw NotPlain.IT;
        }
    }
}
