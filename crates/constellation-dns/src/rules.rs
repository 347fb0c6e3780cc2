//! What a provider makes of a record that it is given. Wishes are put into that form before they are compared with what is
//! there: else a difference that the provider will not keep is written again and again.

use std::collections::BTreeSet;

use crate::record::{Class, Record, RecordKind, RecordName, Ttl, Value};

/// The longest text, in bytes: what Cloudflare takes.
const TEXT_MAX: usize = 2048;

/// What a provider can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whether it can stand in front of an address.
    pub proxies: bool,
    /// Whether it can choose the TTL.
    pub auto_ttl: bool,
    /// The shortest TTL.
    pub ttl_min: u32,
    /// The longest TTL.
    pub ttl_max: u32,
    /// Whether the zone's own name may be another name: Cloudflare answers it with that one's addresses ("flattening").
    pub apex_cname: bool,
    /// The longest comment, in characters.
    pub comment_max: usize,
    /// The most changes that it takes at once.
    pub batch_max: usize,
}

impl Rules {
    /// Cloudflare's smallest plan. <https://developers.cloudflare.com/dns/manage-dns-records/reference/ttl>,
    /// `/dns/manage-dns-records/reference/record-attributes`, `/dns/manage-dns-records/how-to/batch-record-changes`.
    pub const CLOUDFLARE: Self = Self {
        proxies: true,
        auto_ttl: true,
        ttl_min: 60,
        ttl_max: 86_400,
        apex_cname: true,
        comment_max: 100,
        batch_max: 200,
    };
    /// A zone file, as RFC 1035 has it.
    pub const ZONE_FILE: Self = Self {
        proxies: false,
        auto_ttl: false,
        ttl_min: 1,
        ttl_max: 604_800,
        apex_cname: false,
        comment_max: 1000,
        batch_max: 100_000,
    };

    /// The form that the provider keeps a record in.
    fn one(&self, mut record: Record) -> Record {
        let can_be_proxied = record.value.kind().class() == Class::Address;
        record.proxied &= self.proxies && can_be_proxied;
        record.ttl = match record.ttl {
            // A proxied answer is the provider's own, and so is its TTL.
            _ if record.proxied => Ttl::AUTO,
            Ttl::AUTO if self.auto_ttl => Ttl::AUTO,
            Ttl::AUTO => Ttl::FAST,
            Ttl(seconds) => Ttl(seconds.clamp(self.ttl_min, self.ttl_max)),
        };
        record
    }

    /// The form that the provider keeps all records of one name in, sorted, each value once; and what it cannot keep, with
    /// the reason.
    pub fn name(
        &self,
        zone: &str,
        name: &RecordName,
        records: impl IntoIterator<Item = Record>,
    ) -> (Vec<Record>, Vec<String>) {
        let mut kept: Vec<Record> = Vec::new();
        let mut problems = Vec::new();
        if !name.is_within(zone) {
            return (kept, vec![format!("{name} is not within the zone {zone}")]);
        }
        let mut seen = BTreeSet::new();
        for record in records {
            if seen.insert(record.value.clone()) {
                kept.push(self.one(record));
            }
        }
        let is = |kind: RecordKind| move |record: &Record| record.value.kind() == kind;
        let others = kept.iter().any(|record| record.value.kind() != RecordKind::Cname);
        let aliases = kept.iter().filter(|record| is(RecordKind::Cname)(record)).count();
        if aliases > 0 && (others || aliases > 1) {
            problems.push(format!(
                "{name} cannot be another name and have other records as well: the other name is left out"
            ));
            let mut first = !others;
            kept.retain(|record| !is(RecordKind::Cname)(record) || std::mem::take(&mut first));
        }
        if aliases > 0 && !self.apex_cname && name.as_str() == zone {
            problems.push(format!("{name} is the zone itself, which cannot be another name here"));
            kept.retain(|record| !is(RecordKind::Cname)(record));
        }
        let bad_text = |record: &Record| match &record.value {
            Value::Txt(text) => text.len() > TEXT_MAX || text.chars().any(char::is_control),
            _ => false,
        };
        if kept.iter().any(bad_text) {
            problems
                .push(format!("{name}: text is at most {TEXT_MAX} bytes long and has no control characters"));
            kept.retain(|record| !bad_text(record));
        }
        // Where one address of a name is proxied, all are.
        if kept.iter().any(|record| record.proxied) {
            for record in kept.iter_mut().filter(|record| record.value.kind().class() == Class::Address) {
                (record.proxied, record.ttl) = (true, Ttl::AUTO);
            }
        }
        kept.sort();
        (kept, problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(content: &str, kind: RecordKind, ttl: u32, proxied: bool) -> Record {
        Record {
            name: "a.example.org".parse().unwrap(),
            value: Value::read(kind, content).unwrap(),
            ttl: Ttl(ttl),
            proxied,
        }
    }

    fn kept(rules: Rules, records: &[Record]) -> Vec<(u32, bool)> {
        let (kept, _) = rules.name("example.org", &"a.example.org".parse().unwrap(), records.to_vec());
        kept.iter().map(|record| (record.ttl.0, record.proxied)).collect()
    }

    #[test]
    fn a_proxied_record_has_the_providers_ttl_and_so_have_its_siblings() {
        let one = record("203.0.113.1", RecordKind::A, 300, true);
        let two = record("2001:db8::1", RecordKind::Aaaa, 300, false);
        assert_eq!(kept(Rules::CLOUDFLARE, &[one.clone(), two.clone()]), [(1, true), (1, true)]);
        assert_eq!(kept(Rules::ZONE_FILE, &[one, two]), [(300, false), (300, false)]);
    }

    #[test]
    fn ttls_are_moved_into_the_providers_range() {
        assert_eq!(kept(Rules::CLOUDFLARE, &[record("203.0.113.1", RecordKind::A, 5, false)]), [(60, false)]);
        assert_eq!(kept(Rules::ZONE_FILE, &[record("203.0.113.1", RecordKind::A, 1, false)]), [(60, false)]);
    }

    #[test]
    fn text_is_never_proxied() {
        assert_eq!(kept(Rules::CLOUDFLARE, &[record("x", RecordKind::Txt, 60, true)]), [(60, false)]);
    }

    #[test]
    fn another_name_beside_addresses_is_left_out_and_said() {
        let records = [
            record("b.example.org", RecordKind::Cname, 60, false),
            record("203.0.113.1", RecordKind::A, 60, false),
        ];
        let (kept, problems) =
            Rules::CLOUDFLARE.name("example.org", &"a.example.org".parse().unwrap(), records);
        assert_eq!((kept.len(), kept[0].value.kind(), problems.len()), (1, RecordKind::A, 1));
    }

    #[test]
    fn only_a_provider_that_flattens_takes_another_name_at_the_apex() {
        let apex: RecordName = "example.org".parse().unwrap();
        let alias = Record { name: apex.clone(), ..record("b.example.net", RecordKind::Cname, 60, false) };
        assert_eq!(Rules::CLOUDFLARE.name("example.org", &apex, [alias.clone()]).0.len(), 1);
        assert_eq!(Rules::ZONE_FILE.name("example.org", &apex, [alias]).0.len(), 0);
    }
}
