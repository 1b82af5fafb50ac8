package dev.marketpipeline.flink.book;

import java.util.List;
import org.apache.flink.table.data.GenericRowData;

/** The measures of one book, those of the next in the same object; definitions are with the record `BookMetrics`. */
final class BookMeasures {
    /** The columns, in the order of {@link #fill}. */
    static final List<String> NAMES = List.of(
            "best_bid", "best_bid_quantity", "best_ask", "best_ask_quantity", "mid", "spread", "spread_bps", "imbalance",
            "weighted_imbalance", "vtob_ratio", "weighted_mid", "bid_quantity", "ask_quantity", "bid_depth", "ask_depth",
            "bid_slope", "ask_slope");

    final Levels bids = new Levels(-1);
    final Levels asks = new Levels(1);
    private final int calculate;
    private final double withinBps;

    /** @param withinBps how far from the mid the depth is summed up, in basis points. */
    BookMeasures(int calculate, double withinBps) {
        this.calculate = calculate;
        this.withinBps = withinBps;
    }

    void clear() {
        bids.clear();
        asks.clear();
    }

    /** False where there is no mid price; otherwise the measures are in the row, each at its place. */
    boolean fill(GenericRowData row, int[] places) {
        if (!bids.open() || !asks.open()) return false;
        double both = bids.price + asks.price;
        bids.sum(calculate, both, withinBps);
        asks.sum(calculate, both, withinBps);
        double mid = both / 2;
        double spread = asks.price - bids.price;
        double quantities = bids.quantity + asks.quantity;
        row.setField(places[0], bids.price);
        row.setField(places[1], bids.best);
        row.setField(places[2], asks.price);
        row.setField(places[3], asks.best);
        row.setField(places[4], mid);
        row.setField(places[5], spread);
        row.setField(places[6], spread / mid * 1e4);
        row.setField(places[7], (bids.quantity - asks.quantity) / quantities);
        row.setField(places[8], (bids.weighted - asks.weighted) / (bids.weighted + asks.weighted));
        row.setField(places[9], (bids.best + asks.best) / quantities);
        row.setField(places[10], (bids.price * asks.best + asks.price * bids.best) / (bids.best + asks.best));
        row.setField(places[11], bids.quantity);
        row.setField(places[12], asks.quantity);
        row.setField(places[13], bids.reaches ? (Double) bids.depth : null);
        row.setField(places[14], asks.reaches ? (Double) asks.depth : null);
        row.setField(places[15], bids.slope(mid));
        row.setField(places[16], asks.slope(mid));
        return true;
    }
}
