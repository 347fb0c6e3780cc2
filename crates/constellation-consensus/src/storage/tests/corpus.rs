//! What the identity of a data folder is read from.

use super::{
    super::{
        Files as _, Folder,
        identity::{Marker, Stage},
    },
    SimulatedDisk, identity,
};
use crate::corpus::Decoder;

#[test]
fn identities_are_read_or_refused() {
    let marker = |stage| Marker { identity: identity(), stage }.text().into_bytes();
    let written = vec![("made", marker(Stage::Made)), ("making", marker(Stage::Making))];
    let read = |bytes: &[u8]| {
        let disk = SimulatedDisk::new();
        disk.write(Folder::Stable, "identity", bytes).unwrap();
        let marker = Marker::read(&disk).map_err(|error| constellation_core::error_chain(&error))?.unwrap();
        assert_eq!(marker.text().as_bytes(), bytes);
        Ok(())
    };
    Decoder { corpus: include_str!("../../../corpus/identity.txt"), written, read }.check();
}
