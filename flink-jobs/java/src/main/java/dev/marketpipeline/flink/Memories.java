package dev.marketpipeline.flink;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import org.apache.flink.api.common.serialization.SerializerConfigImpl;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.inference.CallContext;
import org.apache.flink.table.types.inference.StateTypeStrategy;
import org.apache.flink.table.types.inference.TypeInference;

/**
 * Types of a function's state: maps whose values are objects of ours, written field by field by Flink's serializer of
 * plain classes.
 *
 * <p>What the annotations would give is a type of SQL: then each checkpoint writes, compiles and loads classes that convert
 * every value to and from rows, which the JVM has to warm up again, and RocksDB converts at each access. Nor has any state a
 * time to live: on the heap each access to one looks at all entries of a map (docs/decisions/0210).
 */
public final class Memories {
    private final Map<String, StateTypeStrategy> types = new LinkedHashMap<>();

    /** The state of this name is a map to objects of a class with public fields. */
    public <T> Memories with(String state, DataType key, Class<T> value) {
        SerializerConfigImpl config = new SerializerConfigImpl();
        config.setGenericTypes(false); // a class that is not plain is refused, not written by another serializer
        DataType objects = DataTypes.RAW(value, TypeInformation.of(value).createSerializer(config));
        DataType map = MapView.newMapViewDataType(key, objects);
        types.put(state, new StateTypeStrategy() {
            @Override
            public Optional<DataType> inferType(CallContext call) {
                return Optional.of(map);
            }

            /** For ever: Flink 2.2 takes "not said" for a time that never ends, which costs as much as any other. */
            @Override
            public Optional<Duration> getTimeToLive(CallContext call) {
                return Optional.of(Duration.ZERO);
            }
        });
        return this;
    }

    /** The signature with these types, of all that it has as state. */
    public TypeInference in(TypeInference signature) {
        LinkedHashMap<String, StateTypeStrategy> states = new LinkedHashMap<>(signature.getStateTypeStrategies());
        if (!states.keySet().equals(types.keySet())) throw new IllegalStateException("state is " + states.keySet());
        states.replaceAll((name, type) -> types.get(name));
        return TypeInference.newBuilder()
                .staticArguments(signature.getStaticArguments().orElseThrow())
                .inputTypeStrategy(signature.getInputTypeStrategy())
                .stateTypeStrategies(states)
                .outputTypeStrategy(signature.getOutputTypeStrategy())
                .build();
    }
}
