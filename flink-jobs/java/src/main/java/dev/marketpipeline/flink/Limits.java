package dev.marketpipeline.flink;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.MapData;

/**
 * The thresholds that hold for the symbol whose event is looked at, by the names that the entries of the alerts give
 * them. Those of the settings hold until a record of the thresholds' topic has come for the symbol.
 */
public final class Limits {
    /** State of a symbol: the values of its newest record, in the order of the settings; null until one has come. */
    public static class InForce {
        public double[] values;
    }

    private final Map<String, Integer> places = new HashMap<>();
    private final double[] defaults;
    private double[] values;

    /** @param settings {@code imbalance_medium=0.5,whale_trade=100000.0}, and what else the rules are told so. */
    public Limits(String settings) {
        String[] parts = settings.split(",");
        defaults = new double[parts.length];
        for (int n = 0; n < parts.length; n++) {
            int equals = parts[n].indexOf('=');
            places.put(parts[n].substring(0, equals), n);
            defaults[n] = Double.parseDouble(parts[n].substring(equals + 1));
        }
        values = defaults;
    }

    /** From now on the values of this symbol are asked for. */
    public void use(InForce state) {
        values = state.values == null ? defaults : state.values;
    }

    /** Keep what a record says; names that it lacks keep the value of the settings. */
    public void change(MapData record, InForce state) {
        double[] changed = Arrays.copyOf(defaults, defaults.length);
        ArrayData names = record.keyArray();
        ArrayData numbers = record.valueArray();
        for (int n = 0; n < record.size(); n++) {
            Integer place = places.get(names.getString(n).toString());
            if (place != null && !numbers.isNullAt(n)) changed[place] = numbers.getDouble(n);
        }
        state.values = changed;
    }

    /** NaN where the settings have no such threshold: then nothing is beyond it. */
    public double get(String name) {
        Integer place = places.get(name);
        return place == null ? Double.NaN : values[place];
    }

    /** All of them. */
    public Map<String, Double> all() {
        Map<String, Double> found = new HashMap<>();
        places.forEach((name, place) -> found.put(name, values[place]));
        return found;
    }
}
