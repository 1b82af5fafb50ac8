package dev.marketpipeline.flink.book;

import dev.marketpipeline.flink.Alert;
import dev.marketpipeline.flink.Limits;
import java.util.function.Consumer;

/** The imbalance goes from one side's medium threshold to the other's within some seconds; told in that moment. */
final class ImbalanceFlip {
    private static final String RULE = "imbalance_flip";

    /** The last event beyond the medium threshold: its side as a sign (0 is none), its time, if it was beyond high. */
    public static class Memory {
        public int side;
        public long time;
        public boolean high;
    }

    void on(BookEvent book, Limits limits, Memory memory, Consumer<Alert> out) {
        double size = Math.abs(book.imbalance);
        double medium = limits.get("imbalance_medium");
        if (!(size >= medium)) return;
        double high = limits.get("imbalance_high");
        int side = book.imbalance > 0 ? 1 : -1;
        if (memory.side == -side && book.time - memory.time <= limits.get(RULE) * 1e6) {
            boolean severe = memory.high && size >= high;
            String heavy = side > 0 ? "buy" : "sell";
            Alert.moment(RULE, book, severe, heavy, book.imbalance, severe ? high : medium, null, out);
        }
        memory.side = side;
        memory.time = book.time;
        memory.high = size >= high;
    }
}
