package dev.marketpipeline.flink.patterns;

import dev.marketpipeline.flink.Alert;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.apache.flink.table.api.dataview.MapView;

/**
 * Sequences of alerts on one symbol within a time.
 *
 * <p>The alerts of the book and those of trades come as their topics are read, perhaps hours apart. So what is found must
 * not follow from the order in which they come: each opening of a pattern's first rule begins one sequence at most, the
 * earliest that there is, and it is told again where an opening that came later makes an earlier one.
 */
final class Patterns {
    /** An alert of a name and severity for `rules` in this order within `within` microseconds. */
    private record Pattern(String name, boolean high, long within, String[] rules) {}

    /** An alert that opened. */
    record Opening(long time, String id, String rule, String side) implements Comparable<Opening> {
        @Override
        public int compareTo(Opening other) {
            return time != other.time ? Long.compare(time, other.time) : id.compareTo(other.id);
        }
    }

    /**
     * State: what opened within ten minutes, longer than which no pattern is, and when that was last added to. The openings
     * are bytes: as arrays of texts they would be written with every checkpoint character by character.
     */
    public static class Stretch {
        public long addedAt;
        public byte[] openings = new byte[0];

        private void add(Opening one) throws IOException {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream(openings.length + 128);
            bytes.write(openings);
            DataOutputStream out = new DataOutputStream(bytes);
            out.writeLong(one.time);
            out.writeUTF(one.id);
            out.writeUTF(one.rule);
            out.writeUTF(one.side);
            openings = bytes.toByteArray();
        }

        private void read(List<Opening> into) throws IOException {
            DataInputStream in = new DataInputStream(new ByteArrayInputStream(openings));
            while (in.available() > 0) into.add(new Opening(in.readLong(), in.readUTF(), in.readUTF(), in.readUTF()));
        }
    }

    private static final long WIDTH = 600_000_000;
    private static final long KEPT = 86_400_000_000L;

    private final List<Pattern> patterns = new ArrayList<>();
    private final long longest;

    /** @param text {@code name|HIGH|30000000|imbalance_flip,whale_trade}, and others behind a semicolon; or nothing. */
    Patterns(String text) {
        for (String one : text.isEmpty() ? new String[0] : text.split(";")) {
            String[] parts = one.split("\\|");
            patterns.add(new Pattern(parts[0], parts[1].equals("HIGH"), Long.parseLong(parts[2]), parts[3].split(",")));
        }
        longest = patterns.stream().mapToLong(Pattern::within).max().orElse(0);
    }

    /** An alert has opened. */
    void on(AlertEvent alert, MapView<Long, Stretch> stretches, Consumer<Alert> out) throws Exception {
        if (patterns.stream().noneMatch(pattern -> List.of(pattern.rules).contains(alert.rule))) return;
        Opening opening = keep(alert, stretches);
        List<Opening> near = new ArrayList<>();
        long at = Math.floorDiv(alert.time, WIDTH);
        for (long n = at - 1; n <= at + 1; n++) {
            Stretch stretch = stretches.get(n);
            if (stretch != null) stretch.read(near);
        }
        near.removeIf(one -> Math.abs(one.time - alert.time) > longest);
        near.sort(null);
        for (Pattern pattern : patterns) {
            for (Opening first : near) {
                List<Opening> found = sequence(pattern, first, near);
                if (found.contains(opening)) tell(pattern, found, alert, out);
            }
        }
    }

    /** These patterns are the first that are known: find them in what has opened before. */
    void begin(AlertEvent change, MapView<Long, Stretch> stretches, Consumer<Alert> out) throws Exception {
        List<Opening> all = new ArrayList<>();
        for (Stretch stretch : stretches.values()) stretch.read(all);
        all.sort(null);
        for (Pattern pattern : patterns) {
            for (Opening first : all) {
                List<Opening> found = sequence(pattern, first, all);
                if (!found.isEmpty()) tell(pattern, found, change, out);
            }
        }
    }

    /** Remember that an alert has opened. */
    static Opening keep(AlertEvent alert, MapView<Long, Stretch> stretches) throws Exception {
        long at = Math.floorDiv(alert.time, WIDTH);
        Stretch stretch = stretches.get(at);
        if (stretch == null) stretch = new Stretch();
        stretch.addedAt = alert.processTime;
        Opening opening = new Opening(alert.time, alert.id, alert.rule, alert.side);
        stretch.add(opening);
        stretches.put(at, stretch);
        return opening;
    }

    /** Forget what nothing was added to for a day, now and then; gives when that was done. */
    static long tidy(AlertEvent now, long before, MapView<Long, Stretch> stretches) throws Exception {
        if (now.processTime < before + WIDTH) return before;
        List<Long> old = new ArrayList<>();
        for (Map.Entry<Long, Stretch> one : stretches.entries()) {
            if (one.getValue().addedAt < now.processTime - KEPT) old.add(one.getKey());
        }
        for (Long key : old) stretches.remove(key);
        return now.processTime;
    }

    /** The earliest sequence that begins with an opening; empty where there is none. */
    private static List<Opening> sequence(Pattern pattern, Opening first, List<Opening> sorted) {
        if (!first.rule.equals(pattern.rules[0])) return List.of();
        List<Opening> found = new ArrayList<>(List.of(first));
        for (Opening next : sorted) {
            if (found.size() == pattern.rules.length) break;
            Opening last = found.get(found.size() - 1);
            boolean follows = next.compareTo(last) > 0 && next.time <= first.time + pattern.within;
            if (follows && next.rule.equals(pattern.rules[found.size()])) found.add(next);
        }
        return found.size() == pattern.rules.length ? found : List.of();
    }

    private static void tell(Pattern pattern, List<Opening> found, AlertEvent alert, Consumer<Alert> out) {
        Opening first = found.get(0);
        Opening last = found.get(found.size() - 1);
        StringBuilder ids = new StringBuilder();
        for (Opening one : found) ids.append(ids.length() == 0 ? "" : " ").append(one.id);
        for (String status : new String[] {Alert.OPEN, Alert.CLOSED}) {
            Alert made = Alert.of(pattern.name, alert, first.time, status, pattern.high);
            made.id = pattern.name + first.id.substring(first.rule.length());
            made.event_time = last.time;
            made.ended_at = status.equals(Alert.CLOSED) ? last.time : null;
            made.side = last.side;
            made.value = made.extreme = (last.time - first.time) / 1e6;
            made.threshold = pattern.within / 1e6;
            made.made_of = ids.toString();
            out.accept(made);
        }
    }
}
