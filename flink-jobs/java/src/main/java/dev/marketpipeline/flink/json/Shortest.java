package dev.marketpipeline.flink.json;

import java.math.BigInteger;

/**
 * The shortest decimal that is read as a given double, and the nearest to it among the shortest: by Raffaello Giulietti's
 * Schubfach, as Java has it from 19 on. Flink's own comes with Jackson and multiplies in four pieces, for older Javas; that
 * was a seventh of what the tasks of the job did.
 */
final class Shortest {
    /** The exponents of ten that may be asked for, of normal doubles. */
    private static final int LEAST = -324;

    private static final int MOST = 292;
    private static final int BITS = 126;
    private static final long LOW_63 = Long.MAX_VALUE;

    /** Of each power 10^-k the leading 126 bits, rounded up, in two halves. */
    private static final long[] HIGH = new long[MOST - LEAST + 1];

    private static final long[] LOW = new long[HIGH.length];

    static {
        for (int k = LEAST; k <= MOST; k++) {
            BigInteger power = BigInteger.TEN.pow(Math.abs(k));
            int shift = BITS - 1 - floorLog2OfPower(-k);
            BigInteger bits = k > 0 ? BigInteger.ONE.shiftLeft(shift).divide(power)
                    : shift >= 0 ? power.shiftLeft(shift) : power.shiftRight(-shift);
            bits = bits.add(BigInteger.ONE);
            HIGH[k - LEAST] = bits.shiftRight(63).longValueExact();
            LOW[k - LEAST] = bits.longValue() & LOW_63;
        }
    }

    /** What was found: the value is {@code digits} · 10^{@code exponent}; the digits may end with zeros. */
    long digits;

    int exponent;

    /** @param value finite, above zero and normal. */
    void of(double value) {
        long bits = Double.doubleToRawLongBits(value);
        long fraction = bits & 0xF_FFFF_FFFF_FFFFL;
        int power = (int) (bits >>> 52) - 1075;
        long whole = fraction | 1L << 52;
        boolean isEven = (whole & 1) == 0;
        boolean isSpaced = fraction != 0 || power == -1074; // as far from the next below as from the next above
        int k = isSpaced ? floorLog10OfPower(power) : floorLog10OfThreeQuarters(power);
        int shift = power + floorLog2OfPower(-k) + 2;
        long high = HIGH[k - LEAST];
        long low = LOW[k - LEAST];
        // the value and the ends of what is read as it, each times four and over 10^k, with a last bit for what was cut off
        long middle = scaled(high, low, whole << 2 + shift);
        long least = scaled(high, low, (whole << 2) - (isSpaced ? 2 : 1) << shift) + (isEven ? 0 : 1);
        long most = scaled(high, low, (whole << 2) + 2 << shift) - (isEven ? 0 : 1);
        exponent = k;
        long below = middle >> 2;
        long tens = below / 10 * 10;
        boolean isLessIn = least <= tens << 2;
        boolean isMoreIn = tens + 10 << 2 <= most;
        if (isLessIn != isMoreIn) {
            digits = isLessIn ? tens : tens + 10;
            return;
        }
        isLessIn = least <= below << 2;
        isMoreIn = below + 1 << 2 <= most;
        boolean isNearer = middle - (below * 2 + 1 << 1) < 0 || middle == below * 2 + 1 << 1 && (below & 1) == 0;
        digits = (isLessIn != isMoreIn ? isLessIn : isNearer) ? below : below + 1;
    }

    private static long scaled(long high, long low, long times) {
        long product = high * times;
        long rest = (product >>> 1) + Math.multiplyHigh(low, times);
        return Math.multiplyHigh(high, times) + (rest >>> 63) | (rest & LOW_63) + LOW_63 >>> 63;
    }

    /** ⌊log10 2^e⌋, ⌊log10 ¾ 2^e⌋ and ⌊log2 10^e⌋, with as many bits of the logarithms as these exponents need. */
    private static int floorLog10OfPower(int e) {
        return (int) (e * 661_971_961_083L >> 41);
    }

    private static int floorLog10OfThreeQuarters(int e) {
        return (int) (e * 661_971_961_083L - 274_743_187_321L >> 41);
    }

    private static int floorLog2OfPower(int e) {
        return (int) (e * 913_124_641_741L >> 38);
    }
}
