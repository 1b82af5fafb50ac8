package dev.marketpipeline.flink.book;

import java.util.Set;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.formats.json.JsonFormatFactory;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.format.DecodingFormat;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.factories.DeserializationFormatFactory;
import org.apache.flink.table.factories.DynamicTableFactory;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.table.types.logical.utils.LogicalTypeParser;
import org.apache.flink.table.types.utils.TypeConversions;

/** The format `measured-book`: records of the book, in JSON, are rows of their measures ({@link BookReader}). */
public final class BookFormatFactory implements DeserializationFormatFactory {
    private static final ConfigOption<Integer> CALCULATE = ConfigOptions.key("calculate")
            .intType()
            .noDefaultValue()
            .withDescription("How many levels of each side are measured.");
    private static final ConfigOption<Double> WITHIN_BPS = ConfigOptions.key("within-bps")
            .doubleType()
            .noDefaultValue()
            .withDescription("How far from the mid the depth is summed up, in basis points.");

    private final JsonFormatFactory json = new JsonFormatFactory();

    @Override
    public String factoryIdentifier() {
        return "measured-book";
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return Set.of(CALCULATE, WITHIN_BPS);
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        return json.optionalOptions();
    }

    @Override
    public DecodingFormat<DeserializationSchema<RowData>> createDecodingFormat(
            DynamicTableFactory.Context context, ReadableConfig options) {
        DecodingFormat<DeserializationSchema<RowData>> whole = json.createDecodingFormat(context, options);
        DataType record = TypeConversions.fromLogicalToDataType(
                LogicalTypeParser.parse(BookReader.RECORD, BookFormatFactory.class.getClassLoader()));
        return new DecodingFormat<>() {
            @Override
            public DeserializationSchema<RowData> createRuntimeDecoder(DynamicTableSource.Context source, DataType type) {
                return new BookReader(
                        ((RowType) type.getLogicalType()).getFieldNames(),
                        source.createTypeInformation(type),
                        whole.createRuntimeDecoder(source, record),
                        options.get(CALCULATE),
                        options.get(WITHIN_BPS));
            }

            @Override
            public ChangelogMode getChangelogMode() {
                return whole.getChangelogMode();
            }
        };
    }
}
