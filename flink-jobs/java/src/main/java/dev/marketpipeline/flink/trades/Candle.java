package dev.marketpipeline.flink.trades;

/**
 * What has been traded in a window, as state and as a row; what its columns mean is said of the record `Candle`. Its
 * first and last trade are the least and the greatest (trade time, trade id), not the first and last to arrive.
 */
public class Candle {
    public String interval;
    public long open_time;
    public long close_time;
    public boolean closed;
    public boolean complete;
    public double open;
    public double high;
    public double low;
    public double close;
    public double volume;
    public double quote_volume;
    public long trades;
    public double bought;
    public double sold;
    public long first_trade_time;
    public long first_trade_id;
    public long last_trade_time;
    public long last_trade_id;
    public long receive_time;

    /** Of the statistics: the largest trade, how many are outliers, the squared returns of its minutes and how many. */
    public double largest_trade;

    public long largest_trade_id;
    public long outliers;
    public double squares;
    public long returns;

    void add(TradeEvent trade, boolean outlier) {
        if (trades == 0 || isBefore(trade.time, trade.id, first_trade_time, first_trade_id)) {
            first_trade_time = trade.time;
            first_trade_id = trade.id;
            open = trade.price;
        }
        if (trades == 0 || isBefore(last_trade_time, last_trade_id, trade.time, trade.id)) {
            last_trade_time = trade.time;
            last_trade_id = trade.id;
            receive_time = trade.receiveTime;
            close = trade.price;
        }
        boolean larger = trade.value() > largest_trade;
        if (larger || trade.value() == largest_trade && trade.id < largest_trade_id) {
            largest_trade = trade.value();
            largest_trade_id = trade.id;
        }
        if (outlier) outliers++;
        high = trades == 0 ? trade.price : Math.max(high, trade.price);
        low = trades == 0 ? trade.price : Math.min(low, trade.price);
        trades++;
        volume += trade.quantity;
        quote_volume += trade.value();
        if (trade.takerSide.equals("buy")) bought += trade.quantity;
        else sold += trade.quantity;
    }

    private static boolean isBefore(long time, long id, long otherTime, long otherId) {
        return time < otherTime || time == otherTime && id < otherId;
    }
}
