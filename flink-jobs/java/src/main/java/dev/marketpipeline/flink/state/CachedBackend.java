package dev.marketpipeline.flink.state;

import org.apache.flink.core.execution.SavepointFormatType;
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
        return new CachedKeyedState<>(wrapped.createKeyedStateBackend(parameters), entries);
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
