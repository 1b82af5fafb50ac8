package dev.marketpipeline.flink.state;

import java.io.IOException;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.configuration.StateBackendOptions;
import org.apache.flink.runtime.state.StateBackend;
import org.apache.flink.runtime.state.StateBackendFactory;
import org.apache.flink.runtime.state.StateBackendLoader;
import org.apache.flink.util.DynamicCodeLoadingException;

/** What {@code state.backend.type} names: RocksDB with all of its own settings, and a {@link CachedBackend} before it. */
public final class CachedRocksDBFactory implements StateBackendFactory<StateBackend> {
    static final ConfigOption<Integer> ENTRIES = ConfigOptions.key("state.backend.cached-rocksdb.entries")
            .intType()
            .defaultValue(16_384)
            .withDescription("How many entries of its maps each function of a task keeps as objects at most.");

    @Override
    public StateBackend createFromConfig(ReadableConfig config, ClassLoader loader) throws IOException {
        Configuration wrapped = Configuration.fromMap(config.toMap());
        wrapped.set(StateBackendOptions.STATE_BACKEND, StateBackendLoader.ROCKSDB_STATE_BACKEND_NAME);
        try {
            return new CachedBackend(
                    StateBackendLoader.loadStateBackendFromConfig(wrapped, loader, null), config.get(ENTRIES));
        } catch (DynamicCodeLoadingException error) {
            throw new IOException(error);
        }
    }
}
