//! Membership and shared facts: chitchat over a sealed UDP transport, derived into one ClusterView.
