package dev.marketpipeline.flink.start;

import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.runtime.jobgraph.JobGraph;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterJobClient;
import org.apache.flink.runtime.minicluster.MiniClusterJobClient.JobFinalizationBehavior;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.graph.StreamGraph;
import org.apache.flink.util.InstantiationUtil;

/** Where Flink's planner hands over its job: the graph of it is written to a file, and that is all. */
final class Keeper extends StreamExecutionEnvironment {
    private final MiniCluster cluster;
    private final Path file;

    private Keeper(Configuration configuration, MiniCluster cluster, Path file) {
        super(configuration);
        this.cluster = cluster;
        this.file = file;
    }

    static void install(MiniCluster cluster, Path file) {
        initializeContextEnvironment(configuration -> new Keeper(configuration, cluster, file));
    }

    /** The planner wants a client: it is one of a job that does not run yet. */
    @Override
    public JobClient executeAsync(StreamGraph graph) throws Exception {
        JobGraph job = graph.getJobGraph();
        Files.write(file, InstantiationUtil.serializeObject(job));
        ClassLoader loader = Thread.currentThread().getContextClassLoader();
        return new MiniClusterJobClient(job.getJobID(), cluster, loader, JobFinalizationBehavior.NOTHING);
    }
}
