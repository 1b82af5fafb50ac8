package dev.marketpipeline.flink.book;

import dev.marketpipeline.flink.Alert;
import dev.marketpipeline.flink.Episode;
import dev.marketpipeline.flink.Limits;
import java.util.function.Consumer;

/** A spread of at least the threshold times what is normal for the symbol. Its side is that with less quantity. */
final class SpreadWidening {
    private static final String RULE = "spread_widening";

    void on(BookEvent book, double normal, Limits limits, Episode episode, Consumer<Alert> out) {
        double factor = limits.get("spread_widening");
        double times = normal > 0 ? book.spreadBps / normal : Double.NaN;
        String side = book.bidQuantity < book.askQuantity ? "buy" : "sell";
        if (normal > 0 && book.spreadBps >= factor * normal) {
            episode.extreme = episode.open ? Math.max(episode.extreme, times) : times;
            episode.side = side;
            episode.holds(RULE, book, book.time, false, times, factor, limits, out);
        } else if (episode.open) {
            episode.side = side;
            episode.ends(RULE, book, Double.isNaN(times) ? 0 : times, factor, out);
        }
    }
}
