//! The promises that every runtime keeps.
