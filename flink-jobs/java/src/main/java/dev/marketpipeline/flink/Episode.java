package dev.marketpipeline.flink;

import java.util.function.Consumer;

/**
 * An alert that lasts, as memory of a rule. It is told when it opens, when it becomes HIGH, again whenever the cooldown
 * has passed while it goes on, and when it closes. A rule says after each event whether it holds.
 */
public class Episode {
    public boolean open;
    public boolean high;
    public boolean escalated;
    public long startedAt;
    public long toldAt;
    public String side;
    public double extreme;

    /** It holds at this event, with `isHigh` severely; it began at `since` unless it is open already. */
    public void holds(
            String rule, Event event, long since, boolean isHigh, double value, double threshold, Limits limits,
            Consumer<Alert> out) {
        boolean opens = !open;
        boolean escalates = open && isHigh && !high;
        if (opens) {
            open = true;
            high = escalated = false;
            startedAt = since;
        }
        high |= isHigh;
        escalated |= escalates;
        if (opens || escalates || event.time >= toldAt + (long) (limits.get("cooldown") * 1e6)) {
            toldAt = event.time;
            tell(rule, event, escalated ? Alert.ESCALATED : Alert.OPEN, opens, value, threshold, out);
        }
    }

    /** It does not hold any more at this event, if it did. */
    public void ends(String rule, Event event, double value, double threshold, Consumer<Alert> out) {
        if (!open) return;
        open = false;
        tell(rule, event, Alert.CLOSED, false, value, threshold, out);
    }

    private void tell(
            String rule, Event event, String status, boolean opens, double value, double threshold, Consumer<Alert> out) {
        Alert made = Alert.of(rule, event, startedAt, status, high).measured(side, value, extreme, threshold);
        made.opens = opens;
        out.accept(made);
    }
}
