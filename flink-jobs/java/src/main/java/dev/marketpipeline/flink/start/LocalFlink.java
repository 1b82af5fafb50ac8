package dev.marketpipeline.flink.start;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.flink.api.common.ExecutionConfig;
import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.runtime.jobgraph.JobGraph;
import org.apache.flink.runtime.jobgraph.SavepointRestoreSettings;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.flink.runtime.minicluster.RpcServiceSharing;
import org.apache.flink.util.InstantiationUtil;

/**
 * A Flink of one JVM, and the graph of its job as it was kept in a file.
 *
 * <p>A graph holds all that planning gives. What differs from one start to the next is put in when it is submitted; where
 * the broker is, Kafka's clients read from the environment themselves.
 */
public final class LocalFlink {
    private static final long LOOK_MS = 20;

    private final MiniCluster cluster;

    /** It is up when this returns, and waits for its job. */
    public LocalFlink(Map<String, String> configuration, int slots) throws Exception {
        cluster = new MiniCluster(new MiniClusterConfiguration.Builder()
                .setConfiguration(Configuration.fromMap(configuration))
                .setNumSlotsPerTaskManager(slots)
                .setRpcServiceSharing(RpcServiceSharing.SHARED)
                .build());
        cluster.start();
    }

    /** From now on a job that is executed is kept in this file, and not started. */
    public void keepIn(String file) {
        Keeper.install(cluster, Path.of(file));
    }

    /** The graph in a file; an exception where it is no graph, or one of another Flink. */
    public static JobGraph read(String file) throws IOException, ClassNotFoundException {
        ClassLoader loader = Thread.currentThread().getContextClassLoader();
        return InstantiationUtil.deserializeObject(Files.readAllBytes(Path.of(file)), loader);
    }

    /**
     * Start a job of this graph.
     *
     * @param configuration where its state is kept, and what it goes on from
     * @param told parameters of the job, which Flink's REST interface shows
     * @return its id
     */
    public String submit(JobGraph graph, Map<String, String> configuration, Map<String, String> told) throws Exception {
        Configuration own = Configuration.fromMap(configuration);
        ClassLoader loader = Thread.currentThread().getContextClassLoader();
        ExecutionConfig execution = graph.getSerializedExecutionConfig().deserializeValue(loader);
        execution.setGlobalJobParameters(Configuration.fromMap(told));
        graph.setExecutionConfig(execution);
        graph.getJobConfiguration().addAll(own);
        graph.setSavepointRestoreSettings(SavepointRestoreSettings.fromConfiguration(own));
        graph.setJobID(new JobID()); // the folder of its checkpoints
        JobID job = cluster.submitJob(graph).get().getJobID();
        while (cluster.getJobStatus(job).get() == JobStatus.INITIALIZING) {
            Thread.sleep(LOOK_MS); // until then much of what is asked about it is an error
        }
        return job.toString();
    }

    /** Stop it with a savepoint in `folder`; gives where it is. */
    public String stop(String job, String folder, long milliseconds) throws Exception {
        return cluster.stopWithSavepoint(JobID.fromHexString(job), folder, false, SavepointFormatType.NATIVE)
                .get(milliseconds, TimeUnit.MILLISECONDS);
    }
}
