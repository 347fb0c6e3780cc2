//! `constellation-deploy`: the catalogue, and the tool on it.

fn main() {}
