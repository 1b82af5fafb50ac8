package dev.marketpipeline.flink.trades;

import dev.marketpipeline.flink.Alert;
import dev.marketpipeline.flink.Limits;
import java.util.Arrays;
import java.util.function.Consumer;
import org.apache.flink.table.api.dataview.MapView;

/** One trade whose value is above the threshold, or above a multiple of what is usual for the symbol. */
final class WhaleTrade {
    private static final String RULE = "whale_trade";
    private static final int TRADES = 100;
    private static final int KNOWN_FROM = 20;

    /** The values of the last trades; it is kept where a multiple is asked for. */
    public static class Recent {
        public double[] values = new double[TRADES];
        public int count;
        public int next;

        double median() {
            double[] sorted = Arrays.copyOf(values, count);
            Arrays.sort(sorted);
            return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
        }

        void add(double value) {
            values[next] = value;
            next = (next + 1) % TRADES;
            count = Math.min(count + 1, TRADES);
        }
    }

    void on(TradeEvent trade, Limits limits, MapView<String, Recent> kept, Consumer<Alert> out) throws Exception {
        double threshold = limits.get(RULE);
        double usual = limits.get("whale_trade_usual");
        if (usual > 0) {
            Recent recent = kept.get(RULE);
            if (recent == null) recent = new Recent();
            if (recent.count >= KNOWN_FROM) threshold = usual * recent.median();
            recent.add(trade.value());
            kept.put(RULE, recent);
        }
        if (trade.value() > threshold) {
            Alert.moment(RULE, trade, false, trade.takerSide, trade.value(), threshold, trade.id, out);
        }
    }
}
