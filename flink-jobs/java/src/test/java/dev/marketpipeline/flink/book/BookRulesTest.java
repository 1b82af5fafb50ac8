package dev.marketpipeline.flink.book;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.marketpipeline.flink.Alert;
import dev.marketpipeline.flink.Episode;
import dev.marketpipeline.flink.Limits;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.table.api.dataview.MapView;
import org.junit.jupiter.api.Test;

/** Each rule alone, as one symbol's events come. */
class BookRulesTest {
    private static final long START = 1_723_161_240_000_000L;
    private static final long SECOND = 1_000_000;

    private final Limits limits = new Limits("imbalance_medium=0.5,imbalance_high=0.7,imbalance_flip=10.0,"
            + "spread_widening=2.0,liquidity_stress=0.3,cooldown=60.0");
    private final List<String> told = new ArrayList<>();
    private final BookEvent book = new BookEvent();

    private BookEvent at(double seconds) {
        book.symbol = "a:B";
        book.time = START + (long) (seconds * SECOND);
        book.bidQuantity = 1;
        book.askQuantity = 2;
        return book;
    }

    private void tell(Alert alert) {
        double since = (alert.started_at - START) / 1e6;
        String measured = alert.value + " " + alert.extreme + " " + alert.threshold;
        told.add(String.join(" ", alert.status, alert.severity, alert.side, "" + since, measured));
        assertEquals(alert.rule + ":a:B:" + alert.started_at, alert.id);
    }

    @Test
    void anEpisodeOpensEscalatesIsToldAgainAndCloses() {
        ExtremeImbalance rule = new ExtremeImbalance();
        Episode episode = new Episode();
        double[][] events = {
            {0, 0.1}, {1, 0.6}, {2, 0.55}, {60, 0.6}, {61, 0.6}, {90, 0.8}, {149, 0.5}, {150, 0.6}, {151, 0.4}
        };
        for (double[] event : events) {
            at(event[0]).imbalance = event[1];
            rule.on(book, limits, episode, this::tell);
        }
        assertEquals(
                List.of(
                        "open MEDIUM buy 1.0 0.6 0.6 0.5",
                        "open MEDIUM buy 1.0 0.6 0.6 0.5",
                        "escalated HIGH buy 1.0 0.8 0.8 0.7",
                        "escalated HIGH buy 1.0 0.6 0.8 0.7",
                        "closed HIGH buy 1.0 0.4 0.8 0.7"),
                told);
    }

    @Test
    void aFlipClosesOneEpisodeAndOpensTheNext() {
        ExtremeImbalance rule = new ExtremeImbalance();
        Episode episode = new Episode();
        double[] events = {0.8, -0.8, 0};
        for (int n = 0; n < events.length; n++) {
            at(n).imbalance = events[n];
            rule.on(book, limits, episode, this::tell);
        }
        assertEquals(
                List.of(
                        "open HIGH buy 0.0 0.8 0.8 0.7",
                        "closed HIGH buy 0.0 -0.8 0.8 0.7",
                        "open HIGH sell 1.0 -0.8 -0.8 0.7",
                        "closed HIGH sell 1.0 0.0 -0.8 0.7"),
                told);
    }

    @Test
    void aFlipWithinItsSeconds() {
        ImbalanceFlip rule = new ImbalanceFlip();
        ImbalanceFlip.Memory memory = new ImbalanceFlip.Memory();
        double[][] events = {{0, 0.6}, {5, 0.1}, {10, -0.9}, {21, 0.9}, {22, -0.8}};
        for (double[] event : events) {
            at(event[0]).imbalance = event[1];
            rule.on(book, limits, memory, this::tell);
        }
        assertEquals(
                List.of(
                        "open MEDIUM sell 10.0 -0.9 -0.9 0.5",
                        "closed MEDIUM sell 10.0 -0.9 -0.9 0.5",
                        "open HIGH sell 22.0 -0.8 -0.8 0.7",
                        "closed HIGH sell 22.0 -0.8 -0.8 0.7"),
                told);
    }

    @Test
    void aSpreadIsHeldAgainstTheMedianOfTheSecondsBefore() throws Exception {
        SpreadWidening rule = new SpreadWidening();
        Normal normal = new Normal();
        Normal.Memory memory = new Normal.Memory();
        Windows windows = new Windows();
        Episode episode = new Episode();
        for (int n = 0; n <= 400; n++) {
            // A second has two events, of which the last counts; 3 and 5 in turn, median 4.
            for (double spread : new double[] {n == 30 || n == 400 ? 9 : 4, n % 2 == 0 ? 3 : 5}) {
                at(n).spreadBps = spread;
                normal.on(book, memory, windows);
                rule.on(book, memory.normalSpread, limits, episode, this::tell);
            }
        }
        assertEquals(List.of("open MEDIUM buy 400.0 2.25 2.25 2.0", "closed MEDIUM buy 400.0 0.75 2.25 2.0"), told);
    }

    @Test
    void whatIsNormalIsAMedianOfFiveMinutesAndNotOfMore() {
        Normal.Window window = new Normal.Window();
        for (int n = 0; n < 1_000; n++) window.add(n, n);
        assertEquals((700 + 999) / 2.0, window.median(1_000));
        assertEquals((990 + 999) / 2.0, window.median(1_290));
        assertEquals(Double.NaN, window.median(2_000));
    }

    @Test
    void stressIsToldWhenItHasLastedAndBeganWhereItBegan() throws Exception {
        LiquidityStress rule = new LiquidityStress();
        Normal.Memory normal = new Normal.Memory();
        normal.normalBidDepth = 100;
        normal.normalAskDepth = 1_000;
        LiquidityStress.Memory memory = new LiquidityStress.Memory();
        Episode episode = new Episode();
        double[][] events = {
            {0, 20, 900}, {1, 50, 900}, {2, 20, 900}, {4, 25, 900}, {4.5, 90, 250}, {5, 10, 900}, {6, Double.NaN, 900}
        };
        for (double[] event : events) {
            at(event[0]).bidDepth = event[1];
            book.askDepth = event[2];
            rule.on(book, normal, limits, memory, episode, this::tell);
        }
        assertEquals(
                List.of(
                        "open MEDIUM sell 2.0 0.25 0.2 0.3",
                        "escalated HIGH buy 2.0 0.1 0.1 0.15",
                        "closed HIGH sell 2.0 0.9 0.1 0.15"),
                told);
    }

    /** State, without Flink. */
    private static final class Windows extends MapView<String, Normal.Window> {}
}
