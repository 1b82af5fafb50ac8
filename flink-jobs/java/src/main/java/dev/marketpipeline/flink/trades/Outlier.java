package dev.marketpipeline.flink.trades;

import dev.marketpipeline.flink.Alert;
import dev.marketpipeline.flink.Limits;
import java.util.Arrays;
import java.util.function.Consumer;

/**
 * A trade whose price is farther from the median of the 100 before it than the threshold times their median absolute
 * deviation, and at least 50 bps. It is told, counted in the statistics of its windows, and left where it is.
 */
final class Outlier {
    private static final String RULE = "outlier";
    private static final int KEPT = 100;
    private static final int KNOWN_FROM = 20;
    private static final double AT_LEAST_AWAY = 0.005;

    /** The last prices, as a ring. */
    public static class Memory {
        public double[] prices = new double[KEPT];
        public int count;
        public int next;
    }

    private final double[] sorted = new double[KEPT];

    /** Whether the trade is one; it is one of those before the next trade in any case. */
    boolean on(TradeEvent trade, Limits limits, Memory memory, Consumer<Alert> out) {
        boolean far = memory.count >= KNOWN_FROM && mayBeFar(trade.price, memory) && isFar(trade, limits, memory, out);
        memory.prices[memory.next] = trade.price;
        memory.next = (memory.next + 1) % KEPT;
        memory.count = Math.min(memory.count + 1, KEPT);
        return far;
    }

    /** False where no price is far enough from this one, so that their median is not either: of nearly all trades. */
    private static boolean mayBeFar(double price, Memory memory) {
        double low = Double.POSITIVE_INFINITY;
        double high = 0;
        for (int n = 0; n < memory.count; n++) {
            low = Math.min(low, memory.prices[n]);
            high = Math.max(high, memory.prices[n]);
        }
        return price - low >= AT_LEAST_AWAY * low || high - price >= AT_LEAST_AWAY * low;
    }

    private boolean isFar(TradeEvent trade, Limits limits, Memory memory, Consumer<Alert> out) {
        System.arraycopy(memory.prices, 0, sorted, 0, memory.count);
        double median = median(memory.count);
        for (int n = 0; n < memory.count; n++) sorted[n] = Math.abs(memory.prices[n] - median);
        double spread = limits.get(RULE) * median(memory.count);
        double distance = Math.abs(trade.price - median);
        if (!(distance > spread && distance >= AT_LEAST_AWAY * median)) return false;
        double limit = Math.max(spread, AT_LEAST_AWAY * median) / median;
        Alert.moment(RULE, trade, false, trade.takerSide, trade.price / median - 1, limit, trade.id, out);
        return true;
    }

    private double median(int count) {
        Arrays.sort(sorted, 0, count);
        return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
    }
}
