package dev.marketpipeline.flink.book;

import dev.marketpipeline.flink.Alert;
import dev.marketpipeline.flink.Episode;
import dev.marketpipeline.flink.Limits;
import java.util.function.Consumer;

/** A spread of at least the threshold times what is normal for the symbol. Its side is that with less quantity. */
final class SpreadWidening {
    private static final String RULE = "spread_widening";

    /** Twice the normal is no less for the difference of two prices being inexact in its last digits. */
    private static final double INEXACT = 1 - 1e-9;

    void on(BookEvent book, double normal, Limits limits, Episode episode, Consumer<Alert> out) {
        double factor = limits.get(RULE);
        double times = normal > 0 ? book.spreadBps / normal : 0;
        if (times >= factor * INEXACT) {
            episode.extreme = episode.open ? Math.max(episode.extreme, times) : times;
            episode.side = side(book);
            episode.holds(RULE, book, book.time, false, times, factor, limits, out);
        } else if (episode.open) {
            episode.side = side(book);
            episode.ends(RULE, book, times, factor, out);
        }
    }

    private static String side(BookEvent book) {
        return book.bidQuantity < book.askQuantity ? "buy" : "sell";
    }
}
