package dev.marketpipeline.flink.book;

import java.util.Arrays;
import org.apache.flink.table.api.dataview.MapView;

/**
 * What is normal for a symbol: the median, over the trailing five minutes, of the value that stood at the end of each
 * second. By the second and not by the event, for updates come in bursts just when something is not normal, and so that
 * what has to be remembered does not grow with their number. It changes once a second; the window is read only then.
 */
final class Normal {
    static final int SECONDS = 300;
    static final int KNOWN_AFTER = 60;

    /** Of each measure the last value in `second` and its median before it; NaN is none. */
    public static class Memory {
        public long second = Long.MIN_VALUE;
        public double spread = Double.NaN;
        public double bidDepth = Double.NaN;
        public double askDepth = Double.NaN;
        public double normalSpread = Double.NaN;
        public double normalBidDepth = Double.NaN;
        public double normalAskDepth = Double.NaN;
    }

    /** A ring of values by second, and the same values sorted. */
    public static class Window {
        public long[] seconds = new long[SECONDS];
        public double[] values = new double[SECONDS];
        public double[] sorted = new double[SECONDS];
        public int first;
        public int count;

        void add(long second, double value) {
            if (count == SECONDS) remove();
            int place = (first + count) % SECONDS;
            seconds[place] = second;
            values[place] = value;
            int at = Arrays.binarySearch(sorted, 0, count, value);
            int to = at < 0 ? -at - 1 : at;
            System.arraycopy(sorted, to, sorted, to + 1, count - to);
            sorted[to] = value;
            count++;
        }

        void remove() {
            int at = Arrays.binarySearch(sorted, 0, count, values[first]);
            System.arraycopy(sorted, at + 1, sorted, at, count - at - 1);
            first = (first + 1) % SECONDS;
            count--;
        }

        /** The median as of a second, which does not count itself; NaN while too little of the past is known. */
        double median(long now) {
            while (count > 0 && seconds[first] < now - SECONDS) remove();
            if (count == 0 || seconds[first] > now - KNOWN_AFTER) return Double.NaN;
            return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
        }
    }

    /** Take in an event; the clock of a symbol does not go back. */
    void on(BookEvent book, Memory memory, MapView<String, Window> windows) throws Exception {
        long second = Math.max(memory.second, Math.floorDiv(book.time, 1_000_000L));
        if (second != memory.second) {
            memory.normalSpread = moved(windows, "spread", memory.second, memory.spread, second);
            memory.normalBidDepth = moved(windows, "bid_depth", memory.second, memory.bidDepth, second);
            memory.normalAskDepth = moved(windows, "ask_depth", memory.second, memory.askDepth, second);
            memory.second = second;
            memory.bidDepth = memory.askDepth = Double.NaN;
        }
        memory.spread = book.spreadBps;
        if (!Double.isNaN(book.bidDepth)) memory.bidDepth = book.bidDepth;
        if (!Double.isNaN(book.askDepth)) memory.askDepth = book.askDepth;
    }

    private static double moved(MapView<String, Window> windows, String name, long ended, double value, long now)
            throws Exception {
        Window window = windows.get(name);
        if (window == null) window = new Window();
        if (!Double.isNaN(value)) window.add(ended, value);
        double median = window.median(now);
        windows.put(name, window);
        return median;
    }
}
