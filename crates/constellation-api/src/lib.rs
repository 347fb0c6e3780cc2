//! The agent's local HTTP API over a unix socket, and its client.
