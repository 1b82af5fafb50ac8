package dev.marketpipeline.flink.state;

import dev.marketpipeline.flink.state.CachedKeyedState.Entry;
import java.util.AbstractMap.SimpleImmutableEntry;
import java.util.Iterator;
import java.util.Map;
import java.util.function.Function;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.runtime.state.internal.InternalMapState;

/**
 * One map of {@link CachedKeyedState}. Its keys are texts and numbers. A value that is got is the object that was put, so
 * one that was changed has to be put again, as everywhere.
 */
final class CachedMap<K, U, V> implements InternalMapState<K, VoidNamespace, U, V> {
    private final CachedKeyedState<K> all;
    private final int number;
    private final InternalMapState<K, VoidNamespace, U, V> behind;

    CachedMap(CachedKeyedState<K> all, int number, InternalMapState<K, VoidNamespace, U, V> behind) {
        this.all = all;
        this.number = number;
        this.behind = behind;
    }

    @Override
    @SuppressWarnings("unchecked")
    public V get(U key) throws Exception {
        Entry entry = all.entries(number).get(key);
        if (entry == null) {
            entry = new Entry();
            entry.value = behind.get(key);
            hold(key, entry);
        }
        entry.isUsed = true;
        return (V) entry.value;
    }

    @Override
    public void put(U key, V value) throws Exception {
        Entry entry = all.entries(number).get(key);
        boolean isNew = entry == null;
        if (isNew) entry = new Entry();
        entry.value = value;
        entry.isWritten = false;
        entry.isUsed = true;
        if (isNew) hold(key, entry);
    }

    private void hold(U key, Entry entry) throws Exception {
        all.entries(number).put(key, entry);
        all.grew();
    }

    /** Write these entries, which are of the key that is current behind this, where they are not written yet. */
    @SuppressWarnings("unchecked")
    void write(Map<Object, Entry> entries) throws Exception {
        for (Map.Entry<Object, Entry> one : entries.entrySet()) {
            Entry entry = one.getValue();
            if (entry.isWritten) continue;
            if (entry.value == null) behind.remove((U) one.getKey());
            else behind.put((U) one.getKey(), (V) entry.value);
            entry.isWritten = true;
        }
    }

    /** The map behind this, which has everything now; it is to be read there, and to be changed here. */
    private InternalMapState<K, VoidNamespace, U, V> whole() throws Exception {
        Map<Object, Entry> entries = all.entries(number);
        write(entries);
        all.shrank(entries.size());
        entries.clear();
        return behind;
    }

    @Override
    public void remove(U key) throws Exception {
        put(key, null);
    }

    @Override
    public boolean contains(U key) throws Exception {
        return get(key) != null;
    }

    @Override
    public void putAll(Map<U, V> values) throws Exception {
        for (Map.Entry<U, V> one : values.entrySet()) put(one.getKey(), one.getValue());
    }

    @Override
    public Iterable<Map.Entry<U, V>> entries() throws Exception {
        Iterable<Map.Entry<U, V>> found = whole().entries();
        return () -> reading(found.iterator(), SimpleImmutableEntry::new);
    }

    @Override
    public Iterable<U> keys() throws Exception {
        Iterable<U> found = whole().keys();
        return () -> reading(found.iterator(), Function.identity());
    }

    @Override
    public Iterable<V> values() throws Exception {
        Iterable<V> found = whole().values();
        return () -> reading(found.iterator(), Function.identity());
    }

    @Override
    public Iterator<Map.Entry<U, V>> iterator() throws Exception {
        return reading(whole().iterator(), SimpleImmutableEntry::new);
    }

    /** An iterator that cannot change what it goes by, past what is held. */
    private static <A, B> Iterator<B> reading(Iterator<A> found, Function<A, B> made) {
        return new Iterator<>() {
            @Override
            public boolean hasNext() {
                return found.hasNext();
            }

            @Override
            public B next() {
                return made.apply(found.next());
            }
        };
    }

    @Override
    public boolean isEmpty() throws Exception {
        return whole().isEmpty();
    }

    @Override
    public void clear() {
        all.shrank(all.entries(number).size());
        all.entries(number).clear();
        behind.clear();
    }

    @Override
    public TypeSerializer<K> getKeySerializer() {
        return behind.getKeySerializer();
    }

    @Override
    public TypeSerializer<VoidNamespace> getNamespaceSerializer() {
        return behind.getNamespaceSerializer();
    }

    @Override
    public TypeSerializer<Map<U, V>> getValueSerializer() {
        return behind.getValueSerializer();
    }

    @Override
    public void setCurrentNamespace(VoidNamespace namespace) {
        behind.setCurrentNamespace(namespace);
    }

    @Override
    public byte[] getSerializedValue(
            byte[] key, TypeSerializer<K> keys, TypeSerializer<VoidNamespace> namespaces, TypeSerializer<Map<U, V>> values)
            throws Exception {
        return behind.getSerializedValue(key, keys, namespaces, values);
    }

    @Override
    public StateIncrementalVisitor<K, VoidNamespace, Map<U, V>> getStateIncrementalVisitor(int most) {
        throw new UnsupportedOperationException("no migration goes by a cache");
    }
}
