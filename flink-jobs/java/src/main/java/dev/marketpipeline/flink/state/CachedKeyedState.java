package dev.marketpipeline.flink.state;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.RunnableFuture;
import java.util.stream.Stream;
import org.apache.flink.api.common.state.CheckpointListener;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.State;
import org.apache.flink.api.common.state.StateDescriptor;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.runtime.checkpoint.CheckpointOptions;
import org.apache.flink.runtime.state.CheckpointStreamFactory;
import org.apache.flink.runtime.state.CheckpointableKeyedStateBackend;
import org.apache.flink.runtime.state.KeyGroupRange;
import org.apache.flink.runtime.state.KeyGroupedInternalPriorityQueue;
import org.apache.flink.runtime.state.Keyed;
import org.apache.flink.runtime.state.KeyedStateFunction;
import org.apache.flink.runtime.state.KeyedStateHandle;
import org.apache.flink.runtime.state.PriorityComparable;
import org.apache.flink.runtime.state.SavepointResources;
import org.apache.flink.runtime.state.SnapshotResult;
import org.apache.flink.runtime.state.StateSnapshotTransformer.StateSnapshotTransformFactory;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.runtime.state.heap.HeapPriorityQueueElement;
import org.apache.flink.runtime.state.internal.InternalMapState;
import org.apache.flink.table.runtime.typeutils.ExternalSerializer;
import org.apache.flink.table.types.logical.RawType;

/**
 * State of a function whose maps to objects keep what is in use as the objects that they are, and write it to the backend
 * behind it when a checkpoint is made: not at each access, as RocksDB alone does.
 *
 * <p>What was not asked for since the checkpoint before is let go, and so is all, written, when there are too many entries.
 * What this holds is never older than the backend: everything but these maps goes by it, and every look at the whole of a
 * map, or of all keys, comes after writing.
 */
final class CachedKeyedState<K> implements CheckpointableKeyedStateBackend<K>, CheckpointListener {
    private final CheckpointableKeyedStateBackend<K> behind;
    private final int most;
    private final Map<String, CachedMap<K, ?, ?>> maps = new HashMap<>();
    private final List<CachedMap<K, ?, ?>> numbered = new ArrayList<>();
    private final Map<K, Entries> held = new HashMap<>();
    private Entries current; // of the current key, once one of its maps is looked at
    private int count;

    /** What is held of a key: of each map, by its number, its entries. */
    static final class Entries {
        private final List<Map<Object, Entry>> maps = new ArrayList<>();

        Map<Object, Entry> of(int number) {
            while (maps.size() <= number) maps.add(new HashMap<>());
            return maps.get(number);
        }
    }

    /** A value, null where the map has none. */
    static final class Entry {
        Object value;
        boolean isWritten = true;
        boolean isUsed = true;
    }

    /** @param most how many entries are held at most. */
    CachedKeyedState(CheckpointableKeyedStateBackend<K> behind, int most) {
        this.behind = behind;
        this.most = most;
    }

    @Override
    public void setCurrentKey(K key) {
        behind.setCurrentKey(key);
        current = null;
    }

    @Override
    public void setCurrentKeyAndKeyGroup(K key, int group) {
        behind.setCurrentKeyAndKeyGroup(key, group);
        current = null;
    }

    /** What is held of a map for the current key. */
    Map<Object, Entry> entries(int number) {
        if (current == null) {
            current = held.get(behind.getCurrentKey());
            if (current == null) {
                current = new Entries();
                held.put(behind.getKeySerializer().copy(behind.getCurrentKey()), current);
            }
        }
        return current.of(number);
    }

    /** An entry more is held of the current key. */
    void grew() throws Exception {
        if (++count > most) write(false);
    }

    /** An entry less. */
    void shrank(int entries) {
        count -= entries;
    }

    /** Write what the backend does not have; then keep what was used since this was last done, or nothing. */
    private void write(boolean keep) throws Exception {
        K key = behind.getCurrentKey();
        try {
            writeAll(keep);
        } finally {
            if (key != null) behind.setCurrentKey(key);
        }
    }

    private void writeAll(boolean keep) throws Exception {
        count = 0;
        for (var one = held.entrySet().iterator(); one.hasNext(); ) {
            var next = one.next();
            boolean isSelected = false;
            int left = 0;
            for (int number = 0; number < next.getValue().maps.size(); number++) {
                Map<Object, Entry> entries = next.getValue().maps.get(number);
                if (!isSelected && entries.values().stream().anyMatch(entry -> !entry.isWritten)) {
                    behind.setCurrentKey(next.getKey());
                    isSelected = true;
                }
                numbered.get(number).write(entries);
                entries.values().removeIf(entry -> !(keep && entry.isUsed));
                entries.values().forEach(entry -> entry.isUsed = false);
                left += entries.size();
            }
            count += left;
            if (left == 0 && next.getValue() != current) one.remove();
        }
    }

    private void write() {
        try {
            write(true);
        } catch (Exception error) {
            throw new IllegalStateException("state could not be written", error);
        }
    }

    @Override
    @SuppressWarnings("unchecked")
    public <N, S extends State> S getPartitionedState(N namespace, TypeSerializer<N> type, StateDescriptor<S, ?> descriptor)
            throws Exception {
        S state = behind.getPartitionedState(namespace, type, descriptor);
        if (!(descriptor instanceof MapStateDescriptor<?, ?> map && holdsObjects(map) && namespace instanceof VoidNamespace)) {
            return state;
        }
        CachedMap<K, ?, ?> cached = maps.get(descriptor.getName());
        if (cached == null) {
            cached = new CachedMap<>(this, numbered.size(), (InternalMapState<K, VoidNamespace, Object, Object>) state);
            numbered.add(cached);
            maps.put(descriptor.getName(), cached);
        }
        return (S) cached;
    }

    /** Whether its values are plain objects, which a function puts again whenever it has changed one ({@code Memories}). */
    private static boolean holdsObjects(MapStateDescriptor<?, ?> map) {
        return map.getValueSerializer() instanceof ExternalSerializer<?, ?> value
                && value.getDataType().getLogicalType() instanceof RawType
                && !map.getTtlConfig().isEnabled();
    }

    @Override
    public RunnableFuture<SnapshotResult<KeyedStateHandle>> snapshot(
            long id, long time, CheckpointStreamFactory streams, CheckpointOptions options) throws Exception {
        write(true);
        return behind.snapshot(id, time, streams, options);
    }

    @Override
    public SavepointResources<K> savepoint() throws Exception {
        write(true);
        return behind.savepoint();
    }

    @Override
    public <N, S extends State, T> void applyToAllKeys(
            N namespace, TypeSerializer<N> type, StateDescriptor<S, T> descriptor, KeyedStateFunction<K, S> function)
            throws Exception {
        write(false);
        try {
            behind.applyToAllKeys(namespace, type, descriptor, (key, state) -> {
                current = null;
                function.process(key, state);
            });
        } finally {
            current = null;
        }
    }

    @Override
    public <N> Stream<K> getKeys(String state, N namespace) {
        write();
        return behind.getKeys(state, namespace);
    }

    @Override
    public <N> Stream<K> getKeys(List<String> states, N namespace) {
        write();
        return behind.getKeys(states, namespace);
    }

    @Override
    public <N> Stream<Tuple2<K, N>> getKeysAndNamespaces(String state) {
        write();
        return behind.getKeysAndNamespaces(state);
    }

    @Override
    public void notifyCheckpointComplete(long id) throws Exception {
        if (behind instanceof CheckpointListener listener) listener.notifyCheckpointComplete(id);
    }

    @Override
    public void notifyCheckpointAborted(long id) throws Exception {
        if (behind instanceof CheckpointListener listener) listener.notifyCheckpointAborted(id);
    }

    @Override
    public K getCurrentKey() {
        return behind.getCurrentKey();
    }

    @Override
    public TypeSerializer<K> getKeySerializer() {
        return behind.getKeySerializer();
    }

    @Override
    public KeyGroupRange getKeyGroupRange() {
        return behind.getKeyGroupRange();
    }

    @Override
    public <N, S extends State, T> S getOrCreateKeyedState(TypeSerializer<N> type, StateDescriptor<S, T> descriptor)
            throws Exception {
        return behind.getOrCreateKeyedState(type, descriptor);
    }

    @Override
    public <N, V, E, S extends State, I extends S> I createOrUpdateInternalState(
            TypeSerializer<N> type, StateDescriptor<S, V> descriptor, StateSnapshotTransformFactory<E> transform)
            throws Exception {
        return behind.createOrUpdateInternalState(type, descriptor, transform);
    }

    @Override
    public <N, V, E, S extends State, I extends S> I createOrUpdateInternalState(
            TypeSerializer<N> type, StateDescriptor<S, V> descriptor, StateSnapshotTransformFactory<E> transform,
            boolean allowsLater) throws Exception {
        return behind.createOrUpdateInternalState(type, descriptor, transform, allowsLater);
    }

    @Override
    public <T extends HeapPriorityQueueElement & PriorityComparable<? super T> & Keyed<?>>
            KeyGroupedInternalPriorityQueue<T> create(String name, TypeSerializer<T> type) {
        return behind.create(name, type);
    }

    @Override
    public <T extends HeapPriorityQueueElement & PriorityComparable<? super T> & Keyed<?>>
            KeyGroupedInternalPriorityQueue<T> create(String name, TypeSerializer<T> type, boolean allowsLater) {
        return behind.create(name, type, allowsLater);
    }

    @Override
    public void registerKeySelectionListener(KeySelectionListener<K> listener) {
        behind.registerKeySelectionListener(listener);
    }

    @Override
    public boolean deregisterKeySelectionListener(KeySelectionListener<K> listener) {
        return behind.deregisterKeySelectionListener(listener);
    }

    @Override
    public boolean isSafeToReuseKVState() {
        return behind.isSafeToReuseKVState();
    }

    @Override
    public String getBackendTypeIdentifier() {
        return behind.getBackendTypeIdentifier();
    }

    @Override
    public void dispose() {
        held.clear();
        behind.dispose();
    }

    @Override
    public void close() throws IOException {
        behind.close();
    }
}
