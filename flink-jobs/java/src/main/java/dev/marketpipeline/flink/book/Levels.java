package dev.marketpipeline.flink.book;

import java.util.Arrays;

/** One side of a book, the best level first, and sums over it. */
final class Levels {
    private final int away;
    private double[] prices = new double[64];
    private double[] quantities = new double[64];
    private int size;

    /** Of the best level. */
    double price;

    double best;

    /** Of the levels 1…N. */
    double quantity;

    double weighted;

    /** Of those not beyond the limit, and whether the known book reaches that far. */
    double depth;

    boolean reaches;
    private int counted;
    private double x;
    private double y;
    private double xx;
    private double xy;

    /** @param away where worse prices are: −1 for bids, 1 for asks. */
    Levels(int away) {
        this.away = away;
    }

    void clear() {
        size = 0;
    }

    /** The next level; NaN is one that is not known. */
    void add(double price, double quantity) {
        if (size == prices.length) {
            prices = Arrays.copyOf(prices, size * 2);
            quantities = Arrays.copyOf(quantities, size * 2);
        }
        prices[size] = price;
        quantities[size++] = quantity;
    }

    /** Whether there is a best level. */
    boolean open() {
        price = size == 0 ? 0 : prices[0];
        best = size == 0 ? 0 : quantities[0];
        return price > 0 && best > 0;
    }

    /** @param best the best prices of both sides, added; `bps` is how far from the mid the depth is summed up. */
    void sum(int calculate, double best, double bps) {
        double limit = best * ((1 + away * bps / 10_000) / 2);
        quantity = weighted = depth = x = y = xx = xy = 0;
        counted = 0;
        reaches = false;
        for (int n = 0; n < size; n++) {
            double at = prices[n];
            double held = quantities[n];
            if (Double.isNaN(at)) continue;
            if (n < calculate) {
                quantity += held;
                weighted += held / (n + 1);
                fit(Math.abs(at - price), quantity);
            }
            double beyond = (at - limit) * away;
            if (beyond <= 0) depth += at * held;
            reaches = beyond >= 0;
        }
    }

    /** A point of the line: how far behind the best price, and the quantity up to there. */
    private void fit(double distance, double cumulated) {
        counted++;
        x += distance;
        y += cumulated;
        xx += distance * distance;
        xy += distance * cumulated;
    }

    /** Base units per basis point of `mid`, by least squares; null with fewer than two prices. */
    Double slope(double mid) {
        double variance = counted * xx - x * x;
        return counted > 1 && variance > 0 ? (counted * xy - x * y) / variance * mid / 10_000 : null;
    }
}
