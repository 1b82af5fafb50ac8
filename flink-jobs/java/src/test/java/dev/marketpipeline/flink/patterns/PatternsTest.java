package dev.marketpipeline.flink.patterns;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.marketpipeline.flink.Alert;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.apache.flink.table.api.dataview.MapView;
import org.junit.jupiter.api.Test;

/** Sequences of the alerts of one symbol, in whatever order they come. */
class PatternsTest {
    private static final long SECOND = 1_000_000;

    private final MapView<Long, Patterns.Stretch> stretches = new MapView<>();
    private final Map<String, String> told = new TreeMap<>();

    private void tell(Alert alert) {
        told.put(alert.id, alert.made_of + " " + alert.side + " " + alert.value);
    }

    private static AlertEvent opened(String rule, long seconds) {
        AlertEvent made = new AlertEvent();
        made.symbol = "x:Y";
        made.time = seconds * SECOND;
        made.rule = rule;
        made.id = rule + ":x:Y:" + seconds;
        made.side = seconds % 2 == 0 ? "buy" : "sell";
        return made;
    }

    @Test
    void theSameIsFoundInEveryOrder() throws Exception {
        List<AlertEvent> alerts = new ArrayList<>(List.of(
                opened("a", 599), opened("b", 601), opened("b", 602), opened("c", 603), opened("c", 604),
                opened("a", 640), opened("c", 641), opened("a", 650), opened("b", 660), opened("c", 681)));
        for (int seed = 0; seed < 50; seed++) {
            Collections.shuffle(alerts, new Random(seed));
            stretches.clear();
            told.clear();
            Patterns patterns = new Patterns("p|HIGH|30000000|a,b,c");
            for (AlertEvent alert : alerts) patterns.on(alert, stretches, this::tell);
            assertEquals(Map.of("p:x:Y:599", "a:x:Y:599 b:x:Y:601 c:x:Y:603 sell 4.0"), told);
        }
    }

    @Test
    void patternsThatAreKnownLaterFindWhatWasBefore() throws Exception {
        for (long n : new long[] {5, 3, 1, 2_000, 2_001}) Patterns.keep(opened("w", n), stretches);
        new Patterns("two|MEDIUM|1000000|w,w;three|HIGH|4000000|w,w,w").begin(opened("", 0), stretches, this::tell);
        assertEquals(
                Map.of(
                        "two:x:Y:2000", "w:x:Y:2000 w:x:Y:2001 sell 1.0",
                        "three:x:Y:1", "w:x:Y:1 w:x:Y:3 w:x:Y:5 sell 4.0"),
                told);
    }

    @Test
    void withoutPatternsNothingIsKept() throws Exception {
        new Patterns("").on(opened("a", 1), stretches, this::tell);
        assertEquals(Map.of(), stretches.getMap());
    }
}
