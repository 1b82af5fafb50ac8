package dev.marketpipeline.flink.json;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.math.BigDecimal;
import java.util.Random;
import java.util.stream.DoubleStream;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.io.NumberOutput;
import org.junit.jupiter.api.Test;

/** Held against Jackson's, which is what Java has from 19 on. */
class ShortestTest {
    private final Random random = new Random(7);
    private final Shortest ours = new Shortest();

    /** Any normal number, powers of two, whose neighbours are not equally far, and what measures are like. */
    private double number(int n) {
        return switch (n % 4) {
            case 0 -> Math.scalb(1.0, random.nextInt(2046) - 1022);
            case 1 -> random.nextDouble() * 2;
            case 2 -> random.nextInt(1_000_000) / 997.0;
            default -> DoubleStream.generate(() -> Math.abs(Double.longBitsToDouble(random.nextLong())))
                    .filter(any -> any >= Double.MIN_NORMAL && any <= Double.MAX_VALUE)
                    .findFirst()
                    .getAsDouble();
        };
    }

    @Test
    void itIsWhatJacksonFinds() {
        for (int n = 0; n < 200_000; n++) {
            double value = number(n);
            ours.of(value);
            BigDecimal wanted = new BigDecimal(NumberOutput.toString(value, true)).stripTrailingZeros();
            BigDecimal found = BigDecimal.valueOf(ours.digits, -ours.exponent).stripTrailingZeros();
            assertEquals(wanted, found, Double.toHexString(value));
        }
    }
}
