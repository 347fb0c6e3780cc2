//! A zone: its records, and what it takes.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// A refusal, as number and words.
pub(super) type Refused = (u32, String);

/// How much a zone takes. The defaults are those of the free plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records: <https://developers.cloudflare.com/dns/manage-dns-records/>, "record quotas".
    pub records_max: usize,
    /// Changes in a batch: <https://developers.cloudflare.com/dns/manage-dns-records/how-to/batch-record-changes/>.
    pub batch_max: usize,
    /// Characters of a comment: <https://developers.cloudflare.com/dns/manage-dns-records/reference/record-attributes/>.
    pub comment_max: usize,
    /// Requests in five minutes: <https://developers.cloudflare.com/fundamentals/api/reference/limits/>.
    pub requests_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { records_max: 1000, batch_max: 200, comment_max: 100, requests_max: 1200 }
    }
}

/// A record as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredRecord {
    /// Its id: 32 hexadecimal digits.
    #[serde(default)]
    pub id: String,
    /// Its whole name.
    pub name: String,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it says.
    #[serde(default)]
    pub content: String,
    /// Its parts, where the kind has parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Json>,
    /// For how long; 1 is automatic.
    #[serde(default = "automatic")]
    pub ttl: u32,
    /// Whether it is proxied.
    #[serde(default)]
    pub proxied: bool,
    /// What stands beside it.
    #[serde(default)]
    pub comment: Option<String>,
}

const fn automatic() -> u32 {
    1
}

/// A batch, in the order in which it is done: deletes, patches, puts, posts.
/// <https://developers.cloudflare.com/api/resources/dns/subresources/records/methods/batch/>
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Batch {
    #[serde(default)]
    pub(super) deletes: Vec<Json>,
    #[serde(default)]
    pub(super) patches: Vec<Json>,
    #[serde(default)]
    pub(super) puts: Vec<Json>,
    #[serde(default)]
    pub(super) posts: Vec<Json>,
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.deletes.len() + self.patches.len() + self.puts.len() + self.posts.len()
    }

    /// The first half of it.
    pub(super) fn half(mut self) -> Self {
        let mut left = self.len() / 2;
        for part in [&mut self.deletes, &mut self.patches, &mut self.puts, &mut self.posts] {
            part.truncate(left);
            left -= part.len();
        }
        self
    }
}

/// A zone.
#[derive(Clone, Debug)]
pub struct Zone {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) limits: Limits,
    pub(super) records: Vec<StoredRecord>,
    made: u64,
}

/// Kinds that take what stands in `data` or in `content` as it is; it is not looked at here.
const OTHER_KINDS: [&str; 12] =
    ["MX", "NS", "CAA", "HTTPS", "SVCB", "TLSA", "PTR", "DS", "DNSKEY", "LOC", "NAPTR", "SSHFP"];

fn validation(why: &str) -> Refused {
    // "DNS Validation Error": the general answer, seen with details in its chain.
    // github.com/cloudflare/terraform-provider-cloudflare/issues/2194
    (1004, format!("DNS Validation Error: {why}"))
}

impl Zone {
    pub(super) fn new(number: usize, name: &str, limits: Limits) -> Self {
        Self { id: format!("{number:032x}"), name: name.to_owned(), limits, records: Vec::new(), made: 0 }
    }

    /// A name is taken whole, or below the zone where it is not; letters are small.
    /// <https://developers.cloudflare.com/dns/manage-dns-records/how-to/create-dns-records/>
    fn whole_name(&self, name: &str) -> String {
        let name = name.trim_end_matches('.').to_lowercase();
        let zone = &self.name;
        if name == "@" || name.is_empty() {
            zone.clone()
        } else if name == *zone || name.ends_with(&format!(".{zone}")) {
            name
        } else {
            format!("{name}.{zone}")
        }
    }

    /// The form in which it keeps a record, or why it does not.
    fn keep(&self, mut record: StoredRecord) -> Result<StoredRecord, Refused> {
        record.name = self.whole_name(&record.name);
        record.kind = record.kind.to_uppercase();
        match record.kind.as_str() {
            // Seen as: {"code":9005,"message":"Content for A record must be a valid IPv4 address."}
            // github.com/timothymiller/cloudflare-ddns/issues/230
            "A" if record.content.parse::<Ipv4Addr>().is_err() => {
                return Err((9005, "Content for A record must be a valid IPv4 address.".to_owned()));
            }
            "AAAA" => match record.content.parse::<Ipv6Addr>() {
                Ok(address) => record.content = address.to_string(),
                Err(_) => return Err(validation("content of AAAA must be an IPv6 address")),
            },
            "CNAME" => record.content = record.content.trim_end_matches('.').to_lowercase(),
            "SRV" => {
                let data = record.data.as_ref().ok_or_else(|| validation("SRV has no data"))?;
                let part =
                    |name: &str| data.get(name).map(|part| part.to_string().trim_matches('"').to_owned());
                let parts: Option<Vec<String>> = ["weight", "port", "target"].into_iter().map(part).collect();
                // The content of SRV leaves the priority out.
                record.content = parts.ok_or_else(|| validation("SRV lacks a part"))?.join(" ");
            }
            "A" | "TXT" => {}
            kind if OTHER_KINDS.contains(&kind) => {}
            kind => return Err(validation(&format!("there is no kind {kind}"))),
        }
        // <https://developers.cloudflare.com/dns/manage-dns-records/reference/ttl/>: 60 to 86400, or 1. Proxied is always 1.
        if record.proxied {
            if !matches!(record.kind.as_str(), "A" | "AAAA" | "CNAME") {
                return Err(validation("this kind cannot be proxied"));
            }
            record.ttl = 1;
        }
        if record.ttl != 1 && !(60..=86_400).contains(&record.ttl) {
            return Err(validation("TTL must be between 60 and 86400 seconds, or 1 for Automatic"));
        }
        let comment = record.comment.take().filter(|comment| !comment.is_empty());
        if comment.as_ref().is_some_and(|comment| comment.chars().count() > self.limits.comment_max) {
            // Seen as: "DNS record comment exceeds the maximum length of 100 characters. (9313)"
            // github.com/STRRL/cloudflare-tunnel-ingress-controller/issues/168
            let most = self.limits.comment_max;
            return Err((
                9313,
                format!("DNS record comment exceeds the maximum length of {most} characters."),
            ));
        }
        record.comment = comment;
        Ok(record)
    }

    /// Whether it may stand beside the others. `except` is the one whose place it takes.
    fn fits(&self, record: &StoredRecord, except: Option<&str>) -> Result<(), Refused> {
        for other in self.records.iter().filter(|other| Some(other.id.as_str()) != except) {
            if other.name != record.name {
                continue;
            }
            if other.kind == record.kind && other.content == record.content && other.data == record.data {
                // Seen as: {"code":81058,"message":"An identical record already exists."}, status 400.
                // github.com/jeessy2/ddns-go/issues/1378
                return Err((81058, "An identical record already exists.".to_owned()));
            }
            // <https://developers.cloudflare.com/dns/manage-dns-records/troubleshooting/records-with-same-name/>;
            // 81054 is seen in github.com/favonia/cloudflare-ddns/issues/990.
            let address = |kind: &str| matches!(kind, "A" | "AAAA");
            if other.kind == "CNAME" && (address(&record.kind) || record.kind == "CNAME") {
                return Err((81054, "A CNAME record with that host already exists.".to_owned()));
            }
            if record.kind == "CNAME" && address(&other.kind) {
                return Err((81053, "An A, AAAA, or CNAME record with that host already exists.".to_owned()));
            }
        }
        Ok(())
    }

    fn at(&self, id: &str) -> Result<usize, Refused> {
        // Seen as: {"code":81044,"message":"Record does not exist."}
        // github.com/zanjie1999/cloudflare-api-v4-ddns/issues/5
        let gone = || (81044, "Record does not exist.".to_owned());
        self.records.iter().position(|record| record.id == id).ok_or_else(gone)
    }

    pub(super) fn create(&mut self, record: StoredRecord) -> Result<StoredRecord, Refused> {
        if self.records.len() >= self.limits.records_max {
            return Err((81045, "Record quota exceeded.".to_owned()));
        }
        let mut record = self.keep(record)?;
        self.fits(&record, None)?;
        self.made += 1;
        record.id = format!("{:032x}", (u128::from(self.made) << 64) | 0x5eed);
        self.records.push(record.clone());
        self.proxy_siblings(&record.name);
        Ok(record)
    }

    /// Where one address of a name is proxied, all are treated so.
    /// <https://developers.cloudflare.com/dns/proxy-status/>
    fn proxy_siblings(&mut self, name: &str) {
        let address =
            |record: &&mut StoredRecord| record.name == name && matches!(record.kind.as_str(), "A" | "AAAA");
        if self.records.iter_mut().filter(address).any(|record| record.proxied) {
            for record in self.records.iter_mut().filter(address) {
                (record.proxied, record.ttl) = (true, 1);
            }
        }
    }

    pub(super) fn delete(&mut self, id: &str) -> Result<Json, Refused> {
        let at = self.at(id)?;
        self.records.remove(at);
        Ok(json!({ "id": id }))
    }

    /// A patch changes the fields that it names; a put replaces all.
    pub(super) fn change(&mut self, id: &str, fields: &Json, whole: bool) -> Result<StoredRecord, Refused> {
        let at = self.at(id)?;
        let mut record = if whole { json!({}) } else { json!(self.records.get(at)) };
        if let (Some(record), Some(fields)) = (record.as_object_mut(), fields.as_object()) {
            let of_other_kind = fields.get("type").is_some_and(|kind| Some(kind) != record.get("type"));
            if of_other_kind {
                record.remove("data");
            }
            record.extend(fields.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        let record = read(&record)?;
        let mut record = self.keep(record)?;
        record.id = id.to_owned();
        self.fits(&record, Some(id))?;
        if let Some(place) = self.records.get_mut(at) {
            *place = record.clone();
        }
        self.proxy_siblings(&record.name);
        Ok(record)
    }

    /// All of it or nothing: one transaction, rolled back where a part fails.
    /// <https://developers.cloudflare.com/dns/manage-dns-records/how-to/batch-record-changes/>,
    /// github.com/kubernetes-sigs/external-dns/pull/6208
    pub(super) fn batch(&mut self, batch: &Batch) -> Result<Json, Refused> {
        let most = self.limits.batch_max;
        if batch.len() > most {
            return Err(validation(&format!("a batch has at most {most} operations")));
        }
        let mut after = self.clone();
        let id = |json: &Json| json.get("id").and_then(Json::as_str).unwrap_or_default().to_owned();
        let (mut deletes, mut patches, mut puts, mut posts) = (vec![], vec![], vec![], vec![]);
        for delete in &batch.deletes {
            deletes.push(after.delete(&id(delete))?);
        }
        for patch in &batch.patches {
            patches.push(after.change(&id(patch), patch, false)?);
        }
        for put in &batch.puts {
            puts.push(after.change(&id(put), put, true)?);
        }
        for post in &batch.posts {
            posts.push(after.create(read(post)?)?);
        }
        *self = after;
        Ok(json!({ "deletes": deletes, "patches": patches, "puts": puts, "posts": posts }))
    }
}

pub(super) fn read(json: &Json) -> Result<StoredRecord, Refused> {
    // A SRV comes without content, and what is null is as good as absent.
    let mut json = json.clone();
    if let Some(fields) = json.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    serde_json::from_value(json).map_err(|error| (9207, format!("Request body is invalid: {error}")))
}
