package dev.marketpipeline.flink.trades;

import static org.apache.flink.table.annotation.ArgumentTrait.SET_SEMANTIC_TABLE;

import dev.marketpipeline.flink.Alert;
import dev.marketpipeline.flink.Limits;
import dev.marketpipeline.flink.TimeToLive;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.StateHint;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.catalog.DataTypeFactory;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.functions.ProcessTableFunction;
import org.apache.flink.table.types.inference.TypeInference;

/** All that is made of trades, symbol by symbol: each trade once, candles, what is late, and the rules. */
public class TradeRules extends ProcessTableFunction<TradeRules.Found> {
    /** Each row holds one of these. */
    public static class Found {
        public Candle candle;
        public Tick late;
        public Tick tick;
        public Alert alert;
    }

    private static final int IDS_KEPT = 4;

    private transient TradeEvent trade;
    private transient Limits limits;
    private transient Candles candles;
    private transient WhaleTrade whaleTrade;
    private transient Outlier outlier;
    private transient MinuteRules minuteRules;

    /**
     * @param windows see {@link Candles}
     * @param lateness microseconds
     * @param idsKept how long the id of a trade is known, in milliseconds: one that comes again within it is left out
     * @param ticks whether each trade is given on, for rules that are written in SQL
     */
    public void eval(
            @StateHint Limits.InForce inForce,
            @StateHint Candles.Clock clock,
            @StateHint MapView<Long, Boolean> seen,
            @StateHint MapView<Long, Candle> open,
            @StateHint MapView<String, WhaleTrade.Recent> recent,
            @StateHint Outlier.Memory lastPrices,
            @StateHint MinuteRules.Memory minutes,
            @StateHint MapView<String, MinuteRules.Past> past,
            @ArgumentHint(
                            value = SET_SEMANTIC_TABLE,
                            type = @DataTypeHint(value = TradeEvent.ROW, bridgedTo = RowData.class))
                    RowData input,
            String settings,
            String windows,
            Long lateness,
            Long idsKept,
            Boolean ticks)
            throws Exception {
        if (trade == null) {
            trade = new TradeEvent();
            limits = new Limits(settings);
            candles = new Candles(windows, lateness);
            whaleTrade = new WhaleTrade();
            outlier = new Outlier();
            minuteRules = new MinuteRules(lateness);
        }
        if (!input.isNullAt(TradeEvent.LIMITS)) {
            limits.change(input.getMap(TradeEvent.LIMITS), inForce);
            return;
        }
        candles.reach(input.getLong(TradeEvent.REACHED), clock, open, past, this::tell);
        minuteRules.reach(input, clock.now, minutes, this::tell);
        if (input.isNullAt(TradeEvent.TRADE_ID) || seen.contains(input.getLong(TradeEvent.TRADE_ID))) return;
        trade.read(input);
        seen.put(trade.id, true);
        limits.use(inForce);
        boolean far = outlier.on(trade, limits, lastPrices, this::tell);
        if (!candles.isLate(trade.time, clock)) {
            Candle minute = candles.add(trade, far, clock, open, this::tell);
            if (minute != null) minuteRules.on(trade, minute, limits, minutes, past, this::tell);
        } else {
            Found found = new Found();
            found.late = Tick.of(trade, clock.now);
            collect(found);
        }
        whaleTrade.on(trade, limits, recent, this::tell);
        if (ticks) {
            Found found = new Found();
            found.tick = Tick.of(trade, clock.now);
            found.tick.limits = limits.all();
            collect(found);
        }
    }

    private void tell(Candle candle) {
        Found found = new Found();
        found.candle = candle;
        collect(found);
    }

    private void tell(Alert alert) {
        Found found = new Found();
        found.alert = alert;
        collect(found);
    }

    @Override
    public TypeInference getTypeInference(DataTypeFactory types) {
        return TimeToLive.of("seen", IDS_KEPT, super.getTypeInference(types));
    }
}
