//! A simulated Kubernetes API server for tests and demonstrations
