package dev.marketpipeline.flink.book;

import static org.apache.flink.table.annotation.ArgumentTrait.SET_SEMANTIC_TABLE;

import dev.marketpipeline.flink.Alert;
import dev.marketpipeline.flink.Episode;
import dev.marketpipeline.flink.Limits;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.StateHint;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.functions.ProcessTableFunction;

/** All rules of the book, symbol by symbol: measures and changes of thresholds in, alerts out. */
public class BookRules extends ProcessTableFunction<BookRules.Found> {
    /** Each row holds one of these. */
    public static class Found {
        public Alert alert;
        public Statistics.Row statistics;
    }

    /** The newest book that was taken; two writers may send the same ones, each in order. */
    public static class Newest {
        public long updateId = Long.MIN_VALUE;
        public long time;
        public long receiveTime;
    }

    private static final long SAME_IDS_TIME = 1_000_000;
    private static final long SAME_IDS_RECEIVE_TIME = 60_000_000;

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
            @StateHint Limits.InForce inForce,
            @StateHint Newest newest,
            @StateHint Normal.Memory usual,
            @StateHint MapView<String, Normal.Window> windows,
            @StateHint Episode imbalance,
            @StateHint ImbalanceFlip.Memory flip,
            @StateHint Episode spread,
            @StateHint LiquidityStress.Memory low,
            @StateHint Episode stress,
            @StateHint Statistics.Memory reduced,
            @StateHint MapView<Integer, Statistics.Row> reducedWindows,
            @ArgumentHint(
                            value = SET_SEMANTIC_TABLE,
                            type = @DataTypeHint(value = BookEvent.ROW, bridgedTo = RowData.class))
                    RowData input,
            String settings,
            String widths)
            throws Exception {
        if (book == null) open(settings, widths);
        if (!input.isNullAt(BookEvent.LIMITS)) {
            limits.change(input.getMap(BookEvent.LIMITS), inForce);
            return;
        }
        book.read(input);
        if (!isNew(newest)) return;
        limits.use(inForce);
        normal.on(book, usual, windows);
        statistics.on(book, usual.second, usual.normalSpread, reduced, reducedWindows, this::tell);
        extremeImbalance.on(book, limits, imbalance, this::tell);
        imbalanceFlip.on(book, limits, flip, this::tell);
        spreadWidening.on(book, usual.normalSpread, limits, spread, this::tell);
        liquidityStress.on(book, usual, limits, low, stress, this::tell);
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

    private boolean isNew(Newest newest) {
        boolean idsGoOn = book.timeEstimated
                ? book.receiveTime <= newest.receiveTime + SAME_IDS_RECEIVE_TIME
                : book.time <= newest.time + SAME_IDS_TIME;
        if (book.updateId <= newest.updateId && idsGoOn) return false;
        newest.updateId = book.updateId;
        newest.time = book.time;
        newest.receiveTime = book.receiveTime;
        return true;
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
}
