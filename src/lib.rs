//! sluice: a push-based continuous-delivery agent that reads Flux YAML.
