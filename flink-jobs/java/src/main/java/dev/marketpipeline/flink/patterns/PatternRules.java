package dev.marketpipeline.flink.patterns;

import static org.apache.flink.table.annotation.ArgumentTrait.SET_SEMANTIC_TABLE;
import static org.apache.flink.table.api.DataTypes.BIGINT;
import static org.apache.flink.table.api.DataTypes.STRING;

import dev.marketpipeline.flink.Alert;
import dev.marketpipeline.flink.Memories;
import java.util.HashMap;
import java.util.Map;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.StateHint;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.catalog.DataTypeFactory;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.functions.ProcessTableFunction;
import org.apache.flink.table.types.inference.TypeInference;

/** All patterns, symbol by symbol: alerts that open in, alerts of patterns out. */
public class PatternRules extends ProcessTableFunction<PatternRules.Found> {
    private static final int MOST_KNOWN = 1_000;

    /** A row. */
    public static class Found {
        public Alert alert;
    }

    /** The patterns of a symbol, null until the topic of thresholds has told them, and when it was last tidied up. */
    public static class InForce {
        public String patterns;
        public long tidiedAt;
    }

    private static final String ENTRY = "patterns";

    private transient AlertEvent event;
    private transient Found found;
    private transient Map<String, Patterns> known;

    /** What opens before the patterns are known is remembered, so that nothing follows from which is read first. */
    public void eval(
            @StateHint MapView<String, InForce> inForce,
            @StateHint MapView<Long, Patterns.Stretch> stretches,
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
        InForce now = inForce.get(ENTRY);
        if (now == null) now = new InForce();
        if (!input.isNullAt(AlertEvent.PATTERNS)) {
            boolean first = now.patterns == null;
            now.patterns = input.getString(AlertEvent.PATTERNS).toString();
            if (first) patterns(now).begin(event, stretches, this::tell);
        } else if (now.patterns == null) {
            Patterns.keep(event, stretches);
        } else {
            patterns(now).on(event, stretches, this::tell);
        }
        if (input.isNullAt(AlertEvent.PATTERNS)) now.tidiedAt = Patterns.tidy(event, now.tidiedAt, stretches);
        inForce.put(ENTRY, now);
    }

    private Patterns patterns(InForce inForce) {
        if (known.size() > MOST_KNOWN) known.clear();
        return known.computeIfAbsent(inForce.patterns, Patterns::new);
    }

    @Override
    public TypeInference getTypeInference(DataTypeFactory types) {
        return new Memories()
                .with("inForce", STRING(), InForce.class)
                .with("stretches", BIGINT(), Patterns.Stretch.class)
                .in(super.getTypeInference(types));
    }

    private void tell(Alert alert) {
        found.alert = alert;
        collect(found);
    }
}
