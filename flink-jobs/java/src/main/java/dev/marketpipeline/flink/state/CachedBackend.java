package dev.marketpipeline.flink.state;

import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.runtime.checkpoint.CheckpointType;
import org.apache.flink.runtime.state.AbstractKeyedStateBackend;
import org.apache.flink.runtime.state.CheckpointableKeyedStateBackend;
import org.apache.flink.runtime.state.OperatorStateBackend;
import org.apache.flink.runtime.state.StateBackend;

/** A state backend whose functions have {@link CachedKeyedState}; checkpoints and savepoints are those of the one wrapped. */
final class CachedBackend implements StateBackend {
    private static final long serialVersionUID = 1;

    private final StateBackend wrapped;
    private final int entries;

    CachedBackend(StateBackend wrapped, int entries) {
        this.wrapped = wrapped;
        this.entries = entries;
    }

    @Override
    public <K> CheckpointableKeyedStateBackend<K> createKeyedStateBackend(KeyedStateBackendParameters<K> parameters)
            throws Exception {
        CheckpointableKeyedStateBackend<K> behind = wrapped.createKeyedStateBackend(parameters);
        return leavesTimers(behind) ? behind : new CachedKeyedState<>(behind, entries);
    }

    /**
     * Whether an operator has to write its timers itself (RocksDB does not where they are on the heap): Flink asks that of
     * its own backends only, so that such a one has to stay as it is.
     */
    static boolean leavesTimers(CheckpointableKeyedStateBackend<?> behind) {
        return behind instanceof AbstractKeyedStateBackend<?> flinks
                && flinks.requiresLegacySynchronousTimerSnapshots(CheckpointType.CHECKPOINT);
    }

    @Override
    public OperatorStateBackend createOperatorStateBackend(OperatorStateBackendParameters parameters) throws Exception {
        return wrapped.createOperatorStateBackend(parameters);
    }

    @Override
    public boolean useManagedMemory() {
        return wrapped.useManagedMemory();
    }

    @Override
    public boolean supportsNoClaimRestoreMode() {
        return wrapped.supportsNoClaimRestoreMode();
    }

    @Override
    public boolean supportsSavepointFormat(SavepointFormatType format) {
        return wrapped.supportsSavepointFormat(format);
    }
}
