package dev.marketpipeline.flink.book;

import dev.marketpipeline.flink.Alert;
import dev.marketpipeline.flink.Episode;
import dev.marketpipeline.flink.Limits;
import java.util.function.Consumer;

/**
 * Depth on a side that stays below the threshold times its normal for more than two seconds; HIGH below half of that.
 * It began where the depth first was so low.
 */
final class LiquidityStress {
    private static final String RULE = "liquidity_stress";
    private static final long LASTS = 2_000_000;

    /** The stretch of events below the threshold, also before it is long enough to be told. */
    public static class Memory {
        public boolean low;
        public long since;
        public double least;
    }

    void on(BookEvent book, Normal.Memory normal, Limits limits, Memory memory, Episode episode, Consumer<Alert> out) {
        double bid = ratio(book.bidDepth, normal.normalBidDepth);
        double ask = ratio(book.askDepth, normal.normalAskDepth);
        double ratio = Math.min(bid, ask);
        String side = bid <= ask ? "buy" : "sell";
        double stress = limits.get(RULE);
        if (!(ratio < stress)) {
            memory.low = false;
            if (!episode.open) return;
            episode.side = side;
            episode.ends(RULE, book, ratio, episode.high ? stress / 2 : stress, out);
            return;
        }
        memory.least = memory.low ? Math.min(memory.least, ratio) : ratio;
        if (!memory.low) memory.since = book.time;
        memory.low = true;
        if (!episode.open && book.time - memory.since <= LASTS) return;
        boolean isHigh = memory.least < stress / 2;
        episode.extreme = memory.least;
        episode.side = side;
        episode.holds(RULE, book, memory.since, isHigh, ratio, isHigh ? stress / 2 : stress, limits, out);
    }

    /** A side of which nothing is known is as it always is. */
    private static double ratio(double depth, double normal) {
        return normal > 0 && !Double.isNaN(depth) ? depth / normal : 1;
    }
}
