package dev.marketpipeline.flink.trades;

import dev.marketpipeline.flink.Alert;
import dev.marketpipeline.flink.Limits;
import java.util.function.Consumer;

/** One trade whose value is above the threshold. */
final class WhaleTrade {
    private static final String RULE = "whale_trade";

    void on(TradeEvent trade, Limits limits, Consumer<Alert> out) {
        double threshold = limits.get(RULE);
        if (trade.value() > threshold) {
            Alert.moment(RULE, trade, false, trade.takerSide, trade.value(), threshold, trade.id, out);
        }
    }
}
