//! A whole, valid, canonical Traefik configuration from a ClusterView, and the provider that serves it.
