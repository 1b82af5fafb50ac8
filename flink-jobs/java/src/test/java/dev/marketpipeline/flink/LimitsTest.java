package dev.marketpipeline.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashMap;
import java.util.Map;
import org.apache.flink.table.data.GenericMapData;
import org.apache.flink.table.data.StringData;
import org.junit.jupiter.api.Test;

class LimitsTest {
    private final Limits limits = new Limits("whale_trade=100000.0,cooldown=60.0");
    private final Limits.InForce state = new Limits.InForce();

    @Test
    void thoseOfTheSettingsHoldUntilThereIsARecord() {
        limits.use(state);
        assertEquals(100_000, limits.get("whale_trade"));
        Map<Object, Object> record = new HashMap<>(Map.of(StringData.fromString("whale_trade"), 5.0));
        record.put(StringData.fromString("of_another_release"), 1.0);
        limits.change(new GenericMapData(record), state);
        limits.use(state);
        assertEquals(5, limits.get("whale_trade"));
        assertEquals(60, limits.get("cooldown"));
        limits.use(new Limits.InForce());
        assertEquals(100_000, limits.get("whale_trade"), "another symbol has its own");
    }

    @Test
    void nothingIsBeyondAThresholdThatTheSettingsLack() {
        assertTrue(Double.isNaN(limits.get("outlier")));
    }
}
