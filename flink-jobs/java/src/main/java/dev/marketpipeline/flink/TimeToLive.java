package dev.marketpipeline.flink;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Optional;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.inference.CallContext;
import org.apache.flink.table.types.inference.StateTypeStrategy;
import org.apache.flink.table.types.inference.TypeInference;
import org.apache.flink.table.types.inference.TypeStrategy;

/** How long state is kept, as an argument of the call says: an annotation would fix it. */
public final class TimeToLive implements StateTypeStrategy {
    private final TypeStrategy type;
    private final int argument;

    private TimeToLive(TypeStrategy type, int argument) {
        this.type = type;
        this.argument = argument;
    }

    /** The signature of a function, with a time to live for one of its states: the argument there, in milliseconds. */
    public static TypeInference of(String state, int argument, TypeInference signature) {
        LinkedHashMap<String, StateTypeStrategy> states = new LinkedHashMap<>(signature.getStateTypeStrategies());
        states.computeIfPresent(state, (name, type) -> new TimeToLive(type, argument));
        return TypeInference.newBuilder()
                .staticArguments(signature.getStaticArguments().orElseThrow())
                .inputTypeStrategy(signature.getInputTypeStrategy())
                .stateTypeStrategies(states)
                .outputTypeStrategy(signature.getOutputTypeStrategy())
                .build();
    }

    @Override
    public Optional<DataType> inferType(CallContext call) {
        return type.inferType(call);
    }

    @Override
    public Optional<Duration> getTimeToLive(CallContext call) {
        return call.getArgumentValue(argument, Long.class).map(Duration::ofMillis);
    }
}
