package dev.marketpipeline.flink.book;

import static org.apache.flink.table.annotation.ArgumentTrait.SET_SEMANTIC_TABLE;
import static org.apache.flink.table.api.DataTypes.INT;
import static org.apache.flink.table.api.DataTypes.STRING;

import dev.marketpipeline.flink.Alert;
import dev.marketpipeline.flink.Episode;
import dev.marketpipeline.flink.Limits;
import dev.marketpipeline.flink.Memories;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.StateHint;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.catalog.DataTypeFactory;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.functions.ProcessTableFunction;
import org.apache.flink.table.types.inference.TypeInference;

/** All rules of the book, symbol by symbol: measures and changes of thresholds in, alerts out. */
public class BookRules extends ProcessTableFunction<BookRules.Found> {
    /** Each row holds one of these. */
    public static class Found {
        public Alert alert;
        public Statistics.Row statistics;
    }

    /**
     * What is remembered of a symbol with every event: one entry of a map, which the heap keeps as the object that it is.
     * A value of state would be converted from and to Flink's rows at every call.
     */
    public static class Memory {
        public Limits.InForce limits = new Limits.InForce();
        public Newest newest = new Newest();
        public Normal.Memory usual = new Normal.Memory();
        public Episode imbalance = new Episode();
        public ImbalanceFlip.Memory flip = new ImbalanceFlip.Memory();
        public Episode spread = new Episode();
        public LiquidityStress.Memory low = new LiquidityStress.Memory();
        public Episode stress = new Episode();
        public Statistics.Memory reduced = new Statistics.Memory();
    }

    private static final String ENTRY = "memory";

    private transient BookEvent book;
    private transient Found found;
    private transient Limits limits;
    private transient Normal normal;
    private transient ExtremeImbalance extremeImbalance;
    private transient ImbalanceFlip imbalanceFlip;
    private transient SpreadWidening spreadWidening;
    private transient LiquidityStress liquidityStress;
    private transient Statistics statistics;

    public void eval(
            @StateHint MapView<String, Memory> memories,
            @StateHint MapView<String, Normal.Window> windows,
            @StateHint MapView<Integer, Statistics.Row> reducedWindows,
            @ArgumentHint(
                            value = SET_SEMANTIC_TABLE,
                            type = @DataTypeHint(value = BookEvent.ROW, bridgedTo = RowData.class))
                    RowData input,
            String settings,
            String widths)
            throws Exception {
        if (book == null) open(settings, widths);
        Memory memory = memories.get(ENTRY);
        if (memory == null) memory = new Memory();
        if (input.isNullAt(BookEvent.LIMITS)) on(input, memory, windows, reducedWindows);
        else limits.change(input.getMap(BookEvent.LIMITS), memory.limits);
        memories.put(ENTRY, memory);
    }

    private void on(
            RowData input,
            Memory memory,
            MapView<String, Normal.Window> windows,
            MapView<Integer, Statistics.Row> reducedWindows)
            throws Exception {
        book.read(input);
        if (!memory.newest.take(book.updateId, book.time, book.receiveTime, book.timeEstimated)) return;
        limits.use(memory.limits);
        Normal.Memory usual = memory.usual;
        normal.on(book, usual, windows);
        statistics.on(book, usual.second, usual.normalSpread, memory.reduced, reducedWindows, this::tell);
        extremeImbalance.on(book, limits, memory.imbalance, this::tell);
        imbalanceFlip.on(book, limits, memory.flip, this::tell);
        spreadWidening.on(book, usual.normalSpread, limits, memory.spread, this::tell);
        liquidityStress.on(book, usual, limits, memory.low, memory.stress, this::tell);
    }

    private void open(String settings, String widths) {
        book = new BookEvent();
        found = new Found();
        limits = new Limits(settings);
        normal = new Normal();
        extremeImbalance = new ExtremeImbalance();
        imbalanceFlip = new ImbalanceFlip();
        spreadWidening = new SpreadWidening();
        liquidityStress = new LiquidityStress();
        statistics = new Statistics(widths);
    }

    private void tell(Alert alert) {
        found.alert = alert;
        found.statistics = null;
        collect(found);
    }

    private void tell(Statistics.Row row) {
        found.alert = null;
        found.statistics = row;
        collect(found);
    }

    @Override
    public TypeInference getTypeInference(DataTypeFactory types) {
        return new Memories()
                .with("memories", STRING(), Memory.class)
                .with("windows", STRING(), Normal.Window.class)
                .with("reducedWindows", INT(), Statistics.Row.class)
                .in(super.getTypeInference(types));
    }
}
