package dev.marketpipeline.flink.trades;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.marketpipeline.flink.Limits;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.table.api.dataview.MapView;
import org.junit.jupiter.api.Test;

class CandlesTest {
    private static final long SECOND = 1_000_000;
    private static final long MINUTE = 60 * SECOND;

    private final Candles candles = new Candles("1m=60000000,3m=180000000", 2 * SECOND);
    private final Candles.Clock clock = new Candles.Clock();
    private final MapView<String, WhaleTrade.Recent> recent = new MapView<>();
    private final MapView<String, MinuteRules.Past> past = new MapView<>();
    private final List<String> told = new ArrayList<>();

    private void tell(Candle c) {
        String prices = c.open + "-" + c.high + "-" + c.low + "-" + c.close;
        String state = (c.closed ? " closed" : "") + (c.complete ? " complete" : "");
        told.add(c.interval + " " + c.open_time / SECOND + " " + prices + " " + c.trades + state);
    }

    private static TradeEvent trade(long time, long id, double price, double quantity) {
        TradeEvent made = new TradeEvent();
        made.symbol = "a:B";
        made.time = time;
        made.id = id;
        made.price = price;
        made.quantity = quantity;
        made.takerSide = "buy";
        return made;
    }

    private void send(long time, long id, double price) throws Exception {
        candles.reach(time, clock, past, this::tell);
        candles.add(trade(time, id, price, 1), false, clock, this::tell);
    }

    @Test
    void firstAndLastAreByTimeAndId() throws Exception {
        send(10 * SECOND, 2, 20);
        send(10 * SECOND, 1, 10);
        send(11 * SECOND, 3, 30);
        send(10 * SECOND, 4, 40);
        assertEquals("1m 0 10.0-40.0-10.0-30.0 4", told.get(told.size() - 2));
    }

    @Test
    void aCandleClosesWhenTheClockIsPastItsEndByTheLateness() throws Exception {
        send(10 * SECOND, 1, 10);
        send(61 * SECOND, 2, 20);
        assertFalse(candles.isLate(59 * SECOND, clock));
        told.clear();
        candles.reach(62 * SECOND - 1, clock, past, this::tell);
        assertEquals(List.of(), told);
        candles.reach(62 * SECOND, clock, past, this::tell);
        assertEquals(List.of("1m 0 10.0-10.0-10.0-10.0 1 closed"), told);
        assertTrue(candles.isLate(59 * SECOND, clock));
        candles.reach(10 * MINUTE, clock, past, this::tell);
        assertEquals(
                List.of("1m 60 20.0-20.0-20.0-20.0 1 closed complete", "3m 0 10.0-20.0-10.0-20.0 2 closed"),
                told.subList(1, 3).stream().sorted().toList());
        assertEquals(0, clock.open.length);
    }

    @Test
    void aTradeAboveTheThresholdIsAWhale() throws Exception {
        List<String> whales = new ArrayList<>();
        Limits limits = new Limits("whale_trade=100.0");
        for (double quantity : new double[] {10, 10.5}) {
            TradeEvent trade = trade(5, 7, 10, quantity);
            new WhaleTrade().on(trade, limits, recent, a -> whales.add(a.id + " " + a.status + " " + a.value));
        }
        assertEquals(List.of("whale_trade:a:B:5:7 open 105.0", "whale_trade:a:B:5:7 closed 105.0"), whales);
    }

    @Test
    void orAboveAMultipleOfWhatIsUsual() throws Exception {
        List<Double> whales = new ArrayList<>();
        Limits limits = new Limits("whale_trade=100.0,whale_trade_usual=3.0");
        WhaleTrade rule = new WhaleTrade();
        for (int n = 1; n <= 21; n++) rule.on(trade(n, n, 1, n), limits, recent, a -> whales.add(a.value));
        rule.on(trade(22, 22, 1, 32), limits, recent, a -> whales.add(a.value));
        rule.on(trade(23, 23, 1, 35), limits, recent, a -> whales.add(a.threshold));
        assertEquals(List.of(34.5, 34.5), whales, "three times the median of 1 to 21 and 32");
    }
}
