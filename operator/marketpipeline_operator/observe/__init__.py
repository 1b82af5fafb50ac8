"""What can be seen of a pipeline: its Deployments and Pods, its Secrets, its topics. Nothing here waits."""
