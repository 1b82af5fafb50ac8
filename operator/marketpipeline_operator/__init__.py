"""The Kubernetes operator: watches MarketPipelines and applies what their plan asks for."""
