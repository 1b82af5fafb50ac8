package dev.marketpipeline.flink.trades;

import java.util.Map;

/** A trade that came for the first time, with the symbol's clock then and, for SQL, all thresholds in force. */
public class Tick {
    public long trade_time;
    public long receive_time;
    public long trade_id;
    public double price;
    public double quantity;
    public String taker_side;
    public long clock;
    public Map<String, Double> limits;

    static Tick of(TradeEvent trade, long clock) {
        Tick made = new Tick();
        made.trade_time = trade.time;
        made.receive_time = trade.receiveTime;
        made.trade_id = trade.id;
        made.price = trade.price;
        made.quantity = trade.quantity;
        made.taker_side = trade.takerSide;
        made.clock = clock;
        return made;
    }
}
