//! Clients that stay with one backend, by a cookie.

use hyper::{
    HeaderMap,
    header::{COOKIE, HeaderValue, SET_COOKIE},
};
use sha2::{Digest, Sha256};

use super::{compiled::CompiledService, table::Backend};

/// What the cookie says of a backend: nothing that anybody could learn an address from.
pub(super) fn mark(backend: &Backend) -> String {
    let digest = Sha256::digest(format!("{}/{}", backend.node, backend.instance));
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The backend that a client's cookie names, by its place; `None` where it is no longer there.
pub(super) fn kept(service: &CompiledService, headers: &HeaderMap, name: &str) -> Option<usize> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
    let value = cookies.flat_map(|field| field.split(';')).find_map(|cookie| {
        let (known, value) = cookie.trim().split_once('=')?;
        (known == name).then_some(value)
    })?;
    service.marks.iter().position(|mark| mark == value)
}

/// Keeps the client with the backend that answers.
pub(super) fn keep(headers: &mut HeaderMap, name: &str, mark: &str) {
    let cookie = format!("{name}={mark}; Path=/; HttpOnly; SameSite=Lax");
    // A name that no header can carry was refused where it was read.
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        headers.append(SET_COOKIE, cookie);
    }
}
