package peers;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.Suppressed.BufferConfig;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.processor.api.FixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorContext;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.WindowStore;
import org.apache.kafka.streams.state.WindowStoreIterator;

/** Both tasks with Kafka Streams: {@code TASK ADDRESS IN OUT STATE}. */
public final class Main {
    public static class Book {
        public String symbol;
        public long update_id;
        public double[][] bids;
        public double[][] asks;
    }

    public static class Measures {
        public String symbol;
        public long update_id;
        public double imbalance;
        public double weighted_imbalance;
        public double spread;
    }

    public static class Trade {
        public String symbol;
        public long trade_id;
        public long trade_time;
        public double price;
        public double quantity;
    }

    public static class Candle {
        public String symbol;
        public long open_time;
        public double open;
        public double high;
        public double low;
        public double close;
        public double volume;
        public double value;
        public double vwap;
        public long trades;

        Candle add(Trade trade) {
            symbol = trade.symbol;
            open_time = trade.trade_time - trade.trade_time % 60_000_000;
            if (trades == 0) open = trade.price;
            high = trades == 0 ? trade.price : Math.max(high, trade.price);
            low = trades == 0 ? trade.price : Math.min(low, trade.price);
            close = trade.price;
            volume += trade.quantity;
            value += trade.price * trade.quantity;
            vwap = value / volume;
            trades++;
            return this;
        }
    }

    /** Each trade once, of those that come again within five minutes. */
    private static final class Once implements FixedKeyProcessor<String, Trade, Trade> {
        private FixedKeyProcessorContext<String, Trade> context;
        private WindowStore<String, Integer> seen;

        @Override
        public void init(FixedKeyProcessorContext<String, Trade> given) {
            context = given;
            seen = given.getStateStore("seen");
        }

        @Override
        public void process(FixedKeyRecord<String, Trade> one) {
            String id = one.key() + one.value().trade_id;
            long time = one.timestamp();
            try (WindowStoreIterator<Integer> known = seen.fetch(id, time - 60_000, time + 60_000)) {
                if (known.hasNext()) return;
            }
            seen.put(id, 1, time);
            context.forward(one);
        }
    }

    private static final ObjectMapper JSON = new ObjectMapper().configure(
            com.fasterxml.jackson.databind.DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false);

    private static <T> Serde<T> json(Class<T> type) {
        return Serdes.serdeFrom(
                (topic, value) -> {
                    try {
                        return value == null ? null : JSON.writeValueAsBytes(value);
                    } catch (IOException error) {
                        throw new UncheckedIOException(error);
                    }
                },
                (topic, bytes) -> {
                    try {
                        return bytes == null ? null : JSON.readValue(bytes, type);
                    } catch (IOException error) {
                        throw new UncheckedIOException(error);
                    }
                });
    }

    private static Measures measures(Book book) {
        double[] sums = new double[4];
        for (int n = 0; n < Math.min(10, book.bids.length); n++) {
            sums[0] += book.bids[n][1];
            sums[2] += book.bids[n][1] / (n + 1);
        }
        for (int n = 0; n < Math.min(10, book.asks.length); n++) {
            sums[1] += book.asks[n][1];
            sums[3] += book.asks[n][1] / (n + 1);
        }
        Measures found = new Measures();
        found.symbol = book.symbol;
        found.update_id = book.update_id;
        found.imbalance = (sums[0] - sums[1]) / (sums[0] + sums[1]);
        found.weighted_imbalance = (sums[2] - sums[3]) / (sums[2] + sums[3]);
        found.spread = book.asks[0][0] - book.bids[0][0];
        return found;
    }

    private static void candles(StreamsBuilder builder, String from, String to) {
        Consumed<String, Trade> how = Consumed.with(Serdes.String(), json(Trade.class))
                .withTimestampExtractor((ConsumerRecord<Object, Object> one, long before) ->
                        ((Trade) one.value()).trade_time / 1000);
        builder.addStateStore(Stores.windowStoreBuilder(
                Stores.persistentWindowStore("seen", Duration.ofMinutes(5), Duration.ofMinutes(1), false),
                Serdes.String(), Serdes.Integer()));
        KStream<String, Trade> trades = builder.stream(from, how).processValues(Once::new, "seen");
        trades.groupByKey(Grouped.with(Serdes.String(), json(Trade.class)))
                .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofMinutes(1), Duration.ofSeconds(2)))
                .aggregate(Candle::new, (key, trade, candle) -> candle.add(trade),
                        Materialized.with(Serdes.String(), json(Candle.class)))
                .suppress(Suppressed.untilWindowCloses(BufferConfig.unbounded()))
                .toStream((window, candle) -> window.key())
                .to(to, Produced.with(Serdes.String(), json(Candle.class)));
    }

    public static void main(String[] given) {
        StreamsBuilder builder = new StreamsBuilder();
        if (given[0].equals("book")) {
            builder.stream(given[2], Consumed.with(Serdes.String(), json(Book.class)))
                    .mapValues(Main::measures)
                    .to(given[3], Produced.with(Serdes.String(), json(Measures.class)));
        } else {
            candles(builder, given[2], given[3]);
        }
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, given[3] + ".streams");
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, given[1]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, given[4]);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
        settings.put("auto.offset.reset", "earliest");
        settings.put("linger.ms", 5);
        settings.put("compression.type", "lz4");
        settings.put("batch.size", 262144);
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(5))));
        streams.start();
    }
}
