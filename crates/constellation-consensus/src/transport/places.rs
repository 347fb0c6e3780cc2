//! Room for strangers: not many at once, and not all of it for one machine.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// Counts who is inside.
#[derive(Clone, Debug)]
pub(super) struct Places {
    inside: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
    most: usize,
    most_of_one: usize,
}

/// A place, until it is dropped.
pub(super) struct Place {
    places: Places,
    address: IpAddr,
}

impl Places {
    /// Room for so many, and for so many from one address.
    pub(super) fn new(most: usize, most_of_one: usize) -> Self {
        Self { inside: Arc::default(), most, most_of_one }
    }

    /// A place for somebody at this address, if there is one.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Place> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = inside.get(&address).copied().unwrap_or(0);
        if of_one >= self.most_of_one || inside.values().sum::<usize>() >= self.most {
            return None;
        }
        inside.insert(address, of_one + 1);
        Some(Place { places: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.places.inside.lock().unwrap_or_else(PoisonError::into_inner);
        match inside.get_mut(&self.address) {
            Some(of_one) if *of_one > 1 => *of_one -= 1,
            _ => drop(inside.remove(&self.address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_every_place_and_places_come_back() {
        let places = Places::new(3, 2);
        let (a, b): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let first = places.enter(a).unwrap();
        let _second = places.enter(a).unwrap();
        assert!(places.enter(a).is_none(), "two of one address");
        let _third = places.enter(b).unwrap();
        assert!(places.enter(b).is_none(), "three in all");
        drop(first);
        assert!(places.enter(b).is_some());
    }
}
