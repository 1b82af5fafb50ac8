package dev.marketpipeline.flink.json;

import java.util.Set;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.formats.json.JsonFormatFactory;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.format.DecodingFormat;
import org.apache.flink.table.connector.format.EncodingFormat;
import org.apache.flink.table.connector.sink.DynamicTableSink;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.factories.DeserializationFormatFactory;
import org.apache.flink.table.factories.DynamicTableFactory;
import org.apache.flink.table.factories.SerializationFormatFactory;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.RowType;

/**
 * Flink's format `json`, quicker for plain records: flat objects of strings, numbers, booleans and arrays of numbers.
 * Whatever is not plain, or not written as it usually is, is left to Flink's own format, so that results are the same.
 */
public final class PlainJsonFormatFactory implements DeserializationFormatFactory, SerializationFormatFactory {
    private final JsonFormatFactory json = new JsonFormatFactory();

    @Override
    public String factoryIdentifier() {
        return "plain-json";
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return json.requiredOptions();
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        return json.optionalOptions();
    }

    @Override
    public DecodingFormat<DeserializationSchema<RowData>> createDecodingFormat(
            DynamicTableFactory.Context context, ReadableConfig options) {
        DecodingFormat<DeserializationSchema<RowData>> whole = json.createDecodingFormat(context, options);
        return new DecodingFormat<>() {
            @Override
            public DeserializationSchema<RowData> createRuntimeDecoder(
                    DynamicTableSource.Context context, DataType type) {
                return new PlainJsonReader(
                        (RowType) type.getLogicalType(), whole.createRuntimeDecoder(context, type));
            }

            @Override
            public ChangelogMode getChangelogMode() {
                return whole.getChangelogMode();
            }
        };
    }

    @Override
    public EncodingFormat<SerializationSchema<RowData>> createEncodingFormat(
            DynamicTableFactory.Context context, ReadableConfig options) {
        EncodingFormat<SerializationSchema<RowData>> whole = json.createEncodingFormat(context, options);
        return new EncodingFormat<>() {
            @Override
            public SerializationSchema<RowData> createRuntimeEncoder(DynamicTableSink.Context context, DataType type) {
                return PlainJsonWriter.of((RowType) type.getLogicalType(), whole.createRuntimeEncoder(context, type));
            }

            @Override
            public ChangelogMode getChangelogMode() {
                return whole.getChangelogMode();
            }
        };
    }
}
