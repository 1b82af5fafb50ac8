package dev.marketpipeline.flink.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.StreamSupport;
import org.apache.flink.api.common.ExecutionConfig;
import org.apache.flink.api.common.serialization.SerializerConfigImpl;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.base.StringSerializer;
import org.apache.flink.core.fs.CloseableRegistry;
import org.apache.flink.runtime.checkpoint.CheckpointOptions;
import org.apache.flink.runtime.checkpoint.CheckpointType;
import org.apache.flink.runtime.checkpoint.SnapshotType;
import org.apache.flink.runtime.state.CheckpointableKeyedStateBackend;
import org.apache.flink.runtime.state.InternalKeyContextImpl;
import org.apache.flink.runtime.state.KeyGroupRange;
import org.apache.flink.runtime.state.LocalRecoveryConfig;
import org.apache.flink.runtime.state.SnapshotExecutionType;
import org.apache.flink.runtime.state.UncompressedStreamCompressionDecorator;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.runtime.state.VoidNamespaceSerializer;
import org.apache.flink.runtime.state.heap.HeapKeyedStateBackend;
import org.apache.flink.runtime.state.heap.HeapKeyedStateBackendBuilder;
import org.apache.flink.runtime.state.heap.HeapPriorityQueueSetFactory;
import org.apache.flink.runtime.state.memory.MemCheckpointStreamFactory;
import org.apache.flink.runtime.state.metrics.LatencyTrackingStateConfig;
import org.apache.flink.runtime.state.metrics.SizeTrackingStateConfig;
import org.apache.flink.runtime.state.ttl.TtlTimeProvider;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.runtime.typeutils.ExternalSerializer;
import org.junit.jupiter.api.Test;

/** What a function sees is what it has put, at any time; what is behind it has that too when a checkpoint is made. */
class CachedKeyedStateTest {
    private static final int MOST = 6;

    /** State as the functions have it. */
    public static class Number {
        public long value;

        static Number of(long value) {
            Number made = new Number();
            made.value = value;
            return made;
        }
    }

    private final CheckpointableKeyedStateBackend<String> behind = heap();
    private final CachedKeyedState<String> state = new CachedKeyedState<>(behind, MOST);
    private final MapState<String, Number> map = map(state);
    private final MapState<String, Number> stored = map(behind);
    private long checkpoints;

    private static CheckpointableKeyedStateBackend<String> heap() {
        KeyGroupRange all = new KeyGroupRange(0, 7);
        try {
            return new HeapKeyedStateBackendBuilder<>(
                            null, StringSerializer.INSTANCE, CachedKeyedStateTest.class.getClassLoader(), 8, all,
                            new ExecutionConfig(), TtlTimeProvider.DEFAULT, LatencyTrackingStateConfig.disabled(),
                            SizeTrackingStateConfig.disabled(), List.of(), UncompressedStreamCompressionDecorator.INSTANCE,
                            LocalRecoveryConfig.BACKUP_AND_RECOVERY_DISABLED,
                            new HeapPriorityQueueSetFactory(all, 8, 128), true, new CloseableRegistry())
                    .build();
        } catch (Exception error) {
            throw new AssertionError(error);
        }
    }

    private static MapStateDescriptor<String, Number> named() {
        SerializerConfigImpl config = new SerializerConfigImpl();
        var objects = DataTypes.RAW(Number.class, TypeInformation.of(Number.class).createSerializer(config));
        return new MapStateDescriptor<>("numbers", StringSerializer.INSTANCE, ExternalSerializer.of(objects));
    }

    private static MapState<String, Number> map(CheckpointableKeyedStateBackend<String> backend) {
        try {
            return backend.getPartitionedState(VoidNamespace.INSTANCE, VoidNamespaceSerializer.INSTANCE, named());
        } catch (Exception error) {
            throw new AssertionError(error);
        }
    }

    private void checkpoint() throws Exception {
        var streams = new MemCheckpointStreamFactory(1 << 20);
        state.snapshot(++checkpoints, 0, streams, CheckpointOptions.forCheckpointWithDefaultLocation()).run();
    }

    private Long stored(String key, String entry) throws Exception {
        state.setCurrentKey(key);
        Number found = stored.get(entry);
        return found == null ? null : found.value;
    }

    private Map<String, Long> all() throws Exception {
        return StreamSupport.stream(map.entries().spliterator(), false)
                .collect(Collectors.toMap(Map.Entry::getKey, entry -> entry.getValue().value));
    }

    @Test
    void whatIsPutIsGotAsItIsAndWrittenWithACheckpoint() throws Exception {
        Number one = Number.of(1);
        state.setCurrentKey("a");
        map.put("x", one);
        assertSame(one, map.get("x"));
        assertNull(stored("a", "x"));
        state.setCurrentKey("b");
        assertNull(map.get("x"), "of another key");
        checkpoint();
        assertEquals("b", state.getCurrentKey(), "as before the checkpoint");
        assertNull(map.get("x"));
        assertEquals(1, stored("a", "x"));
    }

    @Test
    void whatIsRemovedIsGone() throws Exception {
        state.setCurrentKey("a");
        map.put("x", Number.of(1));
        map.put("y", Number.of(2));
        checkpoint();
        map.remove("x");
        assertFalse(map.contains("x"));
        assertEquals(1, stored("a", "x"));
        checkpoint();
        assertNull(stored("a", "x"));
        map.clear();
        assertTrue(map.isEmpty());
        assertNull(stored("a", "y"));
    }

    @Test
    void aLookAtAllOfAMapFindsWhatIsNotWrittenYet() throws Exception {
        state.setCurrentKey("a");
        map.put("x", Number.of(1));
        checkpoint();
        map.put("y", Number.of(2));
        map.put("x", Number.of(3));
        assertEquals(Map.of("x", 3L, "y", 2L), all());
        map.remove("x");
        assertEquals(Map.of("y", 2L), all());
        map.put("z", Number.of(4));
        assertEquals(List.of("a"), state.getKeys("numbers", VoidNamespace.INSTANCE).toList());
        assertEquals(4, stored("a", "z"));
    }

    @Test
    void aLookAtAllOfAMapChangesNothing() throws Exception {
        state.setCurrentKey("a");
        map.put("x", Number.of(1));
        Iterator<Map.Entry<String, Number>> found = map.entries().iterator();
        assertThrows(UnsupportedOperationException.class, () -> found.next().setValue(Number.of(2)));
        assertThrows(UnsupportedOperationException.class, found::remove);
        assertEquals(1, map.get("x").value);
    }

    @Test
    void aFunctionOfAllKeysHasEachKeysOwn() throws Exception {
        for (String key : List.of("a", "b")) {
            state.setCurrentKey(key);
            map.put("x", Number.of(1));
        }
        state.applyToAllKeys(
                VoidNamespace.INSTANCE, VoidNamespaceSerializer.INSTANCE, named(),
                (key, ignored) -> map.put("x", Number.of(key.equals("a") ? 10 : 20)));
        checkpoint();
        assertEquals(10, stored("a", "x"));
        assertEquals(20, stored("b", "x"));
    }

    @Test
    void whatIsNotAskedForIsLetGoAfterTwoCheckpoints() throws Exception {
        state.setCurrentKey("a");
        map.put("x", Number.of(1));
        map.put("y", Number.of(2));
        checkpoint();
        map.get("x");
        checkpoint();
        stored.put("x", Number.of(10)); // nobody else writes, but it tells where a value is read from
        stored.put("y", Number.of(20));
        assertEquals(1, map.get("x").value, "was asked for");
        assertEquals(20, map.get("y").value);
    }

    @Test
    void theMostIsKeptByWritingAllOfIt() throws Exception {
        for (long n = 0; n < 10 * MOST; n++) {
            state.setCurrentKey("key-" + n % 7);
            Number before = map.get("sum");
            map.put("sum", Number.of(n + (before == null ? 0 : before.value)));
            map.put("last-" + n % 3, Number.of(n));
        }
        for (long key = 0; key < 7; key++) {
            long sum = 0;
            for (long n = key; n < 10 * MOST; n += 7) sum += n;
            state.setCurrentKey("key-" + key);
            assertEquals(sum, map.get("sum").value, "of key " + key);
        }
    }

    @Test
    void aBackendThatLeavesTimersToTheirOperatorStaysAsItIs() {
        KeyGroupRange all = new KeyGroupRange(0, 7);
        var leaving = new HeapKeyedStateBackend<String>(
                null, StringSerializer.INSTANCE, getClass().getClassLoader(), new ExecutionConfig(), TtlTimeProvider.DEFAULT,
                LatencyTrackingStateConfig.disabled(), SizeTrackingStateConfig.disabled(), new CloseableRegistry(),
                UncompressedStreamCompressionDecorator.INSTANCE, Map.of(), Map.of(),
                LocalRecoveryConfig.BACKUP_AND_RECOVERY_DISABLED, new HeapPriorityQueueSetFactory(all, 8, 128), null,
                SnapshotExecutionType.ASYNCHRONOUS, null, new InternalKeyContextImpl<>(all, 8)) {
            @Override
            public boolean requiresLegacySynchronousTimerSnapshots(SnapshotType type) {
                return type == CheckpointType.CHECKPOINT;
            }
        };
        assertTrue(CachedBackend.leavesTimers(leaving));
        assertFalse(CachedBackend.leavesTimers(behind));
    }
}
