//! The mesh gateway: routed local endpoints become reachable on the mesh address.
