package dev.marketpipeline.flink.patterns;

import static org.apache.flink.table.annotation.ArgumentTrait.SET_SEMANTIC_TABLE;

import dev.marketpipeline.flink.Alert;
import java.util.HashMap;
import java.util.Map;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.StateHint;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.functions.ProcessTableFunction;

/** All patterns, symbol by symbol: alerts that open in, alerts of patterns out. */
public class PatternRules extends ProcessTableFunction<PatternRules.Found> {
    private static final int MOST_KNOWN = 1_000;

    /** A row. */
    public static class Found {
        public Alert alert;
    }

    /** The patterns of a symbol; null until the topic of thresholds has told them. */
    public static class InForce {
        public String patterns;
    }

    private transient AlertEvent event;
    private transient Found found;
    private transient Map<String, Patterns> known;

    /** What opens before the patterns are known is remembered, so that nothing follows from which is read first. */
    public void eval(
            @StateHint InForce inForce,
            @StateHint(ttl = "1 day") MapView<Long, Patterns.Stretch> stretches,
            @ArgumentHint(
                            value = SET_SEMANTIC_TABLE,
                            type = @DataTypeHint(value = AlertEvent.ROW, bridgedTo = RowData.class))
                    RowData input)
            throws Exception {
        if (event == null) {
            event = new AlertEvent();
            found = new Found();
            known = new HashMap<>();
        }
        event.read(input);
        if (!input.isNullAt(AlertEvent.PATTERNS)) {
            boolean first = inForce.patterns == null;
            inForce.patterns = input.getString(AlertEvent.PATTERNS).toString();
            if (first) patterns(inForce).begin(event, stretches, this::tell);
        } else if (inForce.patterns == null) {
            Patterns.keep(event, stretches);
        } else {
            patterns(inForce).on(event, stretches, this::tell);
        }
    }

    private Patterns patterns(InForce inForce) {
        if (known.size() > MOST_KNOWN) known.clear();
        return known.computeIfAbsent(inForce.patterns, Patterns::new);
    }

    private void tell(Alert alert) {
        found.alert = alert;
        collect(found);
    }
}
