package dev.marketpipeline.flink.json;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.formats.common.TimestampFormat;
import org.apache.flink.formats.json.JsonFormatOptions;
import org.apache.flink.formats.json.JsonParserRowDataDeserializationSchema;
import org.apache.flink.formats.json.JsonRowDataSerializationSchema;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.runtime.typeutils.InternalTypeInfo;
import org.apache.flink.table.runtime.typeutils.RowDataSerializer;
import org.apache.flink.table.types.logical.ArrayType;
import org.apache.flink.table.types.logical.BigIntType;
import org.apache.flink.table.types.logical.BooleanType;
import org.apache.flink.table.types.logical.DoubleType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.table.types.logical.VarCharType;
import org.apache.flink.util.Collector;
import org.junit.jupiter.api.Test;

/** Held against Flink's own format, over records that were mutated at random. */
class PlainJsonTest {
    private static final VarCharType TEXT = new VarCharType(VarCharType.MAX_LENGTH);
    private static final BigIntType NUMBER = new BigIntType();
    private static final LogicalType LEVELS = new ArrayType(new ArrayType(new DoubleType()));
    private static final RowType BOOK = RowType.of(
            new LogicalType[] {
                TEXT, NUMBER, TEXT, NUMBER, NUMBER, LEVELS, new BooleanType(), new DoubleType()
            },
            new String[] {"type", "v", "symbol", "event_time", "update_id", "bids", "backfilled", "price"});
    private static final String ALPHABET = "0123456789.eE-+,:[]{}\"\\ntrueflsa \u00e9\n";
    private static final int MUTATIONS = 60_000;

    private final Random random = new Random(7);

    private static List<RowData> read(DeserializationSchema<RowData> reader, byte[] message) throws Exception {
        List<RowData> found = new ArrayList<>();
        reader.deserialize(message, new Collector<>() {
            @Override
            public void collect(RowData row) {
                if (row != null) found.add(row);
            }

            @Override
            public void close() {}
        });
        return found;
    }

    private String record() {
        StringBuilder bids = new StringBuilder("[");
        for (int n = random.nextInt(5); n >= 0; n--) {
            bids.append('[').append(random.nextInt(9_000_000) / 100.0).append(',');
            bids.append(random.nextDouble()).append("],");
        }
        bids.setCharAt(bids.length() - 1, ']');
        return "{\"type\":\"book\",\"v\":1,\"symbol\":\"binance:BTCUSDT\",\"event_time\":" + random.nextLong() / 1000
                + ",\"update_id\":" + random.nextInt() + ",\"bids\":" + bids + ",\"backfilled\":" + random.nextBoolean()
                + ",\"price\":" + (random.nextBoolean() ? "null" : "" + random.nextInt(100) / 8.0) + "}";
    }

    private byte[] mutated() {
        StringBuilder text = new StringBuilder(record());
        for (int n = random.nextInt(3); n >= 0 && text.length() > 1; n--) {
            int place = random.nextInt(text.length());
            char c = ALPHABET.charAt(random.nextInt(ALPHABET.length()));
            switch (random.nextInt(4)) {
                case 0 -> text.setCharAt(place, c);
                case 1 -> text.deleteCharAt(place);
                case 2 -> text.insert(place, c);
                default -> text.setLength(random.nextInt(8) == 0 ? place : text.length());
            }
        }
        return text.toString().getBytes(StandardCharsets.UTF_8);
    }

    @Test
    void whateverIsReadIsReadAsFlinkReadsIt() throws Exception {
        var flinks = new JsonParserRowDataDeserializationSchema(
                BOOK, InternalTypeInfo.of(BOOK), false, true, TimestampFormat.SQL);
        flinks.open(null);
        var ours = new PlainJsonReader(BOOK, flinks);
        RowDataSerializer rows = new RowDataSerializer(BOOK);
        int unreadable = 0;
        for (int n = 0; n < MUTATIONS; n++) {
            byte[] message = n < 1_000 ? record().getBytes(StandardCharsets.UTF_8) : mutated();
            List<RowData> wanted = read(flinks, message);
            List<RowData> found = read(ours, message);
            String text = new String(message, StandardCharsets.UTF_8);
            assertEquals(wanted.size(), found.size(), text);
            if (wanted.isEmpty()) unreadable++;
            else assertEquals(rows.toBinaryRow(wanted.get(0)).copy(), rows.toBinaryRow(found.get(0)).copy(), text);
        }
        assertTrue(unreadable > MUTATIONS / 10 && unreadable < MUTATIONS * 9 / 10, "" + unreadable);
    }

    @Test
    void plainRecordsAreNotLeftToFlink() throws Exception {
        var ours = new PlainJsonReader(BOOK, null);
        for (int n = 0; n < 1_000; n++) assertEquals(1, read(ours, record().getBytes(StandardCharsets.UTF_8)).size());
    }

    /** Any number, or one with few digits as prices have. */
    private double number(int n) {
        double any = Double.longBitsToDouble(random.nextLong());
        double wide = Double.isNaN(any) || Double.isInfinite(any) ? -0.0 : any;
        return n % 2 == 0 ? wide : random.nextInt() / Math.pow(10, random.nextInt(12));
    }

    @Test
    void whatIsWrittenHasTheSameValues() throws Exception {
        RowType type = RowType.of(
                new LogicalType[] {TEXT, new BigIntType(), new DoubleType(), new BooleanType()},
                new String[] {"symbol", "event_time", "mid", "closed"});
        SerializationSchema<RowData> flinks = new JsonRowDataSerializationSchema(
                type, TimestampFormat.SQL, JsonFormatOptions.MapNullKeyMode.FAIL, "", false, false);
        flinks.open(null);
        SerializationSchema<RowData> ours = PlainJsonWriter.of(type, flinks);
        var back = new JsonParserRowDataDeserializationSchema(
                type, InternalTypeInfo.of(type), false, false, TimestampFormat.SQL);
        back.open(null);
        RowDataSerializer rows = new RowDataSerializer(type);
        for (int n = 0; n < 20_000; n++) {
            double value = number(n);
            GenericRowData row = GenericRowData.of(
                    StringData.fromString(n % 50 == 0 ? "a\"\\\u00e9\n" : "binance:BTCUSDT"),
                    n % 7 == 0 ? null : random.nextLong(),
                    value,
                    random.nextBoolean());
            RowData wanted = rows.toBinaryRow(back.deserialize(flinks.serialize(row))).copy();
            RowData found = rows.toBinaryRow(back.deserialize(ours.serialize(row))).copy();
            assertEquals(wanted, found, row.toString());
        }
    }
}
