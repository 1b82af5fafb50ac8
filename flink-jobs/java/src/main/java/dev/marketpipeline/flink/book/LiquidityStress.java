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
        double bid = normal.normalBidDepth > 0 ? book.bidDepth / normal.normalBidDepth : Double.NaN;
        double ask = normal.normalAskDepth > 0 ? book.askDepth / normal.normalAskDepth : Double.NaN;
        boolean isBid = bid <= ask || Double.isNaN(ask);
        double ratio = isBid ? bid : ask;
        double stress = limits.get("liquidity_stress");
        if (!(ratio < stress)) {
            if (!Double.isNaN(ratio)) episode.side = isBid ? "buy" : "sell";
            episode.ends(RULE, book, Double.isNaN(ratio) ? 1 : ratio, episode.high ? stress / 2 : stress, out);
            memory.low = false;
            return;
        }
        if (!memory.low) {
            memory.low = true;
            memory.since = book.time;
            memory.least = ratio;
        }
        memory.least = Math.min(memory.least, ratio);
        if (!episode.open && book.time - memory.since <= LASTS) return;
        boolean isHigh = memory.least < stress / 2;
        episode.extreme = memory.least;
        episode.side = isBid ? "buy" : "sell";
        episode.holds(RULE, book, memory.since, isHigh, ratio, isHigh ? stress / 2 : stress, limits, out);
    }
}
