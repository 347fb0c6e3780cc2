use constellation_core::ManualClock;

use super::*;

fn client(api: &str, zone_id: Option<&str>) -> Result<Cloudflare, DnsError> {
    let config = CloudflareConfig {
        api: api.to_owned(),
        token: PathBuf::from("token"),
        zone: "example.org".parse().unwrap(),
        zone_id: zone_id.map(str::to_owned),
    };
    Cloudflare::new(config, Arc::new(ManualClock::new()))
}

#[test]
fn a_token_never_travels_in_the_clear() {
    for good in [PRODUCTION, "http://127.0.0.1:8787/client/v4", "http://[::1]:8787/", "http://localhost:1/"] {
        assert!(client(good, None).is_ok(), "{good}");
    }
    for bad in
        ["http://api.cloudflare.com/", "ftp://127.0.0.1/", "not a url", "http://127.0.0.1.example.org/"]
    {
        assert!(client(bad, None).is_err(), "{bad}");
    }
}

#[test]
fn a_zone_id_cannot_lead_elsewhere() {
    assert!(client(PRODUCTION, Some("../../accounts")).is_err());
    assert!(client(PRODUCTION, Some("0123456789abcdef0123456789abcdef")).is_ok());
}
