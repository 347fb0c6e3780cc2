//! Where a node is and who its peers are: the overlay seam, and static peers.
