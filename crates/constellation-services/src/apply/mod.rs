//! Carries a plan out: images, networks and volumes first, then every service as soon as what it waits for is there.

mod event;
mod ground;
mod images;
mod judge;
mod run;
mod step;

pub(crate) use self::step::GRACE_DEFAULT;
pub use self::{
    event::{Happening, Nobody, Watcher},
    images::{Fetch, fetch as fetch_images},
    run::{Applied, Apply, ApplyError, ServiceResult},
};
