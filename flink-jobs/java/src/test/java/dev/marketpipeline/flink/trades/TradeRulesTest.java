package dev.marketpipeline.flink.trades;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.marketpipeline.flink.Alert;
import dev.marketpipeline.flink.Limits;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.StringData;
import org.junit.jupiter.api.Test;

/** The rules of trades, as one symbol's trades and heartbeats come. */
class TradeRulesTest {
    private static final long SECOND = 1_000_000;
    private static final long MINUTE = 60 * SECOND;
    private static final long LATENESS = 2 * SECOND;

    private final Candles candles = new Candles("3m=180000000", LATENESS);
    private final Candles.Clock clock = new Candles.Clock();
    private final MapView<String, MinuteRules.Past> past = new MapView<>();
    private final MinuteRules rules = new MinuteRules(LATENESS);
    private final MinuteRules.Memory memory = new MinuteRules.Memory();
    private final List<String> told = new ArrayList<>();
    private final List<Candle> closed = new ArrayList<>();
    private long id;

    private void tell(Alert alert) {
        told.add(String.join(" ", alert.rule, alert.status, alert.side, "" + alert.started_at / SECOND,
                "" + alert.event_time / SECOND, alert.value + "/" + alert.extreme + "/" + alert.threshold));
    }

    private void reach(long time) throws Exception {
        candles.reach(time, clock, past, candle -> closed.add(candle));
        GenericRowData row = new GenericRowData(10);
        row.setField(TradeEvent.SYMBOL, StringData.fromString("a:B"));
        row.setField(TradeEvent.RECEIVE_TIME, time);
        row.setField(TradeEvent.PROCESS_TIME, time);
        rules.reach(row, clock.now, memory, this::tell);
    }

    private void send(double seconds, double price, double quantity, String limits) throws Exception {
        long time = Math.round(seconds * SECOND);
        reach(time);
        TradeEvent trade = new TradeEvent();
        trade.symbol = "a:B";
        trade.time = time;
        trade.id = ++id;
        trade.price = price;
        trade.quantity = quantity;
        trade.takerSide = "buy";
        Candle minute = candles.add(trade, false, clock, candle -> {});
        rules.on(trade, minute, new Limits(limits + ",cooldown=600.0"), memory, past, this::tell);
    }

    @Test
    void minutesThatFollowOneAnotherAreOneAlert() throws Exception {
        String limits = "volume_spike=1000.0";
        for (double second : new double[] {1, 2, 61, 62, 181}) send(second, 100, 6, limits);
        reach(5 * MINUTE);
        assertEquals(
                List.of(
                        "volume_spike open buy 0 2 1200.0/1200.0/1000.0",
                        "volume_spike closed buy 0 120 1200.0/1200.0/1000.0"),
                told);
    }

    @Test
    void aMinuteThatMeetsTheRuleTooSoonAfterAPauseIsAnotherAlert() throws Exception {
        for (double second : new double[] {1, 120.5}) send(second, 100, 20, "volume_spike=1000.0");
        assertEquals(
                List.of(
                        "volume_spike open buy 0 1 2000.0/2000.0/1000.0",
                        "volume_spike closed buy 0 60 2000.0/2000.0/1000.0",
                        "volume_spike open buy 120 120 2000.0/2000.0/1000.0"),
                told);
    }

    @Test
    void aSpikeIsHeldAgainstTheFirstPriceOfItsMinute() throws Exception {
        double[][] trades = {{1, 100}, {2, 97}, {3, 104}, {61, 120}};
        for (double[] trade : trades) send(trade[0], trade[1], 1, "price_spike=0.025");
        assertTrue(told.get(0).startsWith("price_spike open sell 0 2 -0.03"), told.get(0));
        assertEquals(1, told.size());
    }

    @Test
    void aBurstNeedsSixMinutesThatHadClosed() throws Exception {
        int[] counts = {2, 2, 4, 2, 2, 2, 50, 11};
        for (int n = 0; n < counts.length; n++) {
            for (int k = 0; k < counts[n]; k++) send(n * 60 + k * 0.001, 100, 1, "trade_burst=5.0");
        }
        assertEquals(List.of("trade_burst open buy 420 420 11.0/11.0/10.0"), told);
    }

    @Test
    void aMultipleOfTheUsualVolumeTakesThePlaceOfTheThreshold() throws Exception {
        for (int n = 0; n < 8; n++) send(n * 60, 100, n == 7 ? 4 : 1, "volume_spike=1000.0,volume_spike_usual=3.0");
        assertEquals(List.of("volume_spike open buy 420 420 400.0/400.0/300.0"), told);
    }

    @Test
    void theVolatilityIsThatOfTheMinutesThatHadTrades() throws Exception {
        double[][] trades = {{1, 100}, {61, 110}, {181, 121}, {241, 121}};
        for (double[] trade : trades) send(trade[0], trade[1], 1, "price_spike=9.0");
        reach(6 * MINUTE + LATENESS);
        double step = Math.pow(Math.log(1.1), 2);
        assertEquals(2, closed.size());
        assertEquals(List.of(1L, 2L), closed.stream().map(candle -> candle.returns).toList());
        assertEquals(step, closed.get(0).squares, 1e-12);
        assertEquals(step, closed.get(1).squares, 1e-12);
    }

    @Test
    void anOutlierIsFarByBothMeasures() {
        Outlier rule = new Outlier();
        Outlier.Memory prices = new Outlier.Memory();
        Limits limits = new Limits("outlier=10.0");
        List<Double> far = new ArrayList<>();
        for (int n = 0; n < 33; n++) {
            TradeEvent trade = new TradeEvent();
            trade.symbol = "a:B";
            trade.id = n;
            trade.price = n == 30 ? 113 : n == 31 ? 111 : n == 32 ? 80 : 100 + n % 5;
            trade.takerSide = "sell";
            if (rule.on(trade, limits, prices, this::tell)) far.add(trade.price);
        }
        assertEquals(List.of(113.0, 80.0), far);
        assertEquals(4, told.size());
    }
}
