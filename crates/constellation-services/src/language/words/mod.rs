//! The words that a service is described with, by what they speak of.

mod life;
mod reach;
mod rights;
mod what;
