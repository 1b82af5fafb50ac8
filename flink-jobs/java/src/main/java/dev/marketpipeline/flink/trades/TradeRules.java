package dev.marketpipeline.flink.trades;

import static org.apache.flink.table.annotation.ArgumentTrait.SET_SEMANTIC_TABLE;
import static org.apache.flink.table.api.DataTypes.BIGINT;
import static org.apache.flink.table.api.DataTypes.STRING;

import dev.marketpipeline.flink.Alert;
import dev.marketpipeline.flink.Limits;
import dev.marketpipeline.flink.Memories;
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

    /**
     * What is remembered of a symbol with every trade: one entry of a map, as in the rules of the book.
     */
    public static class Memory {
        public Limits.InForce limits = new Limits.InForce();
        public Candles.Clock clock = new Candles.Clock();
        public Seen.Memory seen = new Seen.Memory();
        public Outlier.Memory prices = new Outlier.Memory();
        public MinuteRules.Memory minutes = new MinuteRules.Memory();
    }

    private static final String ENTRY = "memory";

    private transient TradeEvent trade;
    private transient Limits limits;
    private transient Candles candles;
    private transient Seen seen;
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
            @StateHint MapView<String, Memory> memories,
            @StateHint MapView<Long, Seen.Ids> ids,
            @StateHint MapView<Long, Seen.Minute> written,
            @StateHint MapView<String, WhaleTrade.Recent> recent,
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
        if (trade == null) open(settings, windows, lateness, idsKept);
        Memory memory = memories.get(ENTRY);
        if (memory == null) memory = new Memory();
        if (!input.isNullAt(TradeEvent.LIMITS)) {
            limits.change(input.getMap(TradeEvent.LIMITS), memory.limits);
        } else {
            candles.reach(input.getLong(TradeEvent.REACHED), memory.clock, past, this::tell);
            minuteRules.reach(input, memory.clock.now, memory.minutes, this::tell);
            if (!input.isNullAt(TradeEvent.TRADE_ID)) {
                trade.read(input);
                limits.use(memory.limits);
                boolean isNew = seen.take(trade.id, trade.processTime, memory.seen, ids, written);
                if (isNew) on(memory, recent, past, ticks);
            }
        }
        memories.put(ENTRY, memory);
    }

    private void open(String settings, String windows, long lateness, long idsKept) {
        trade = new TradeEvent();
        limits = new Limits(settings);
        candles = new Candles(windows, lateness);
        seen = new Seen(idsKept);
        whaleTrade = new WhaleTrade();
        outlier = new Outlier();
        minuteRules = new MinuteRules(lateness);
    }

    private void on(
            Memory memory,
            MapView<String, WhaleTrade.Recent> recent,
            MapView<String, MinuteRules.Past> past,
            boolean ticks)
            throws Exception {
        Candles.Clock clock = memory.clock;
        boolean far = outlier.on(trade, limits, memory.prices, this::tell);
        if (!candles.isLate(trade.time, clock)) {
            Candle minute = candles.add(trade, far, clock, this::tell);
            if (minute != null) minuteRules.on(trade, minute, limits, memory.minutes, past, this::tell);
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
        return new Memories()
                .with("memories", STRING(), Memory.class)
                .with("ids", BIGINT(), Seen.Ids.class)
                .with("written", BIGINT(), Seen.Minute.class)
                .with("recent", STRING(), WhaleTrade.Recent.class)
                .with("past", STRING(), MinuteRules.Past.class)
                .in(super.getTypeInference(types));
    }
}
