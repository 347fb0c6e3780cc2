//! Watches the containers of one node, judges their health with hysteresis, and restarts the unhealthy.
