package dev.marketpipeline.flink.book;

import dev.marketpipeline.flink.Alert;
import dev.marketpipeline.flink.Episode;
import dev.marketpipeline.flink.Limits;
import java.util.function.Consumer;

/**
 * A run of book events on one side whose |imbalance| is at least the medium threshold. Where the book flips from one
 * side to the other, that event closes one episode and opens the next.
 */
final class ExtremeImbalance {
    private static final String RULE = "extreme_imbalance";

    void on(BookEvent book, Limits limits, Episode episode, Consumer<Alert> out) {
        double size = Math.abs(book.imbalance);
        double medium = limits.get("imbalance_medium");
        double high = limits.get("imbalance_high");
        String side = size >= medium ? (book.imbalance > 0 ? "buy" : "sell") : null;
        if (episode.open && !episode.side.equals(side)) {
            episode.ends(RULE, book, book.imbalance, episode.high ? high : medium, out);
        }
        if (side == null) return;
        if (!episode.open || size > Math.abs(episode.extreme)) episode.extreme = book.imbalance;
        episode.side = side;
        boolean isHigh = size >= high;
        double threshold = isHigh || episode.open && episode.high ? high : medium;
        episode.holds(RULE, book, book.time, isHigh, book.imbalance, threshold, limits, out);
    }
}
