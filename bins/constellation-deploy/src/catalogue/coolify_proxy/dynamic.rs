//! Files that Traefik, nginx, CrowdSec and docker-gen read.

use constellation_services::prelude::*;

use super::CLOUDFLARE;

/// Whether CrowdSec's plugin guards the entry point. A Traefik that cannot fetch a plugin when it starts refuses every router
/// that names it, so nothing depends on that unless somebody wants it.
pub(super) fn has_crowdsec(cfg: &Config) -> bool {
    cfg.flag("TRAEFIK_CROWDSEC_ENABLED", false)
}

/// `/traefik/dynamic/core.yaml`: what the entry point names, so all of it must be there.
pub(super) fn core(cfg: &Config) -> String {
    let mut text = format!(
        "\
# Written by constellation-deploy: change the definition, not this file.
http:
  middlewares:
    nginx-auth:
      forwardAuth:
        address: http://nginx-traefik-extensions:80/auth
        trustForwardHeader: true
        authResponseHeaders: [X-Auth-Method, X-Auth-Passed, X-Middleware-Name]
    strip-www:
      redirectRegex:
        regex: ^(https?)://www\\.(.+)$
        replacement: ${{1}}://${{2}}
        permanent: true
    error-pages:
      errors:
        # What a service says of a request (4xx) is its own; what it cannot say any more gets a page.
        status: [\"500-599\"]
        service: error-pages
        query: /api/error/{{status}}
  routers:
    catch-all:
      rule: HostRegexp(`^(.+\\.)?{domain}$`)
      priority: 1
      entryPoints: [websecure]
      service: error-pages
  services:
    # Not the container's own: it would be gone with the container, and with it every router that has these pages.
    error-pages:
      loadBalancer:
        servers:
          - url: http://bolabaden-nextjs:3000
",
        domain = cfg.domain().replace('.', "\\."),
    );
    if has_crowdsec(cfg) {
        text = text.replace(
            "  routers:\n",
            &format!(
                "    crowdsec:\n      plugin:\n        bouncer:\n          enabled: true\n          crowdsecMode: live\n          \
                 crowdsecLapiScheme: http\n          crowdsecLapiHost: crowdsec:8080\n          \
                 crowdsecLapiKeyFile: /run/secrets/crowdsec-lapi-key\n          forwardedHeadersTrustedIPs: [\"{}\"]\n  routers:\n",
                CLOUDFLARE.join("\", \"")
            ),
        );
    }
    text
}

/// `/etc/nginx/nginx.conf`: who has a key or comes from a known address may pass; everybody else is asked by TinyAuth.
pub(super) fn nginx(cfg: &Config) -> String {
    let traefik = cfg.var("NGINX_TRAEFIK_SUBNET", "10.0.8.0/24");
    let trusted: String = [traefik.as_str()]
        .iter()
        .chain(CLOUDFLARE)
        .map(|range| format!("    set_real_ip_from {range};\n"))
        .collect();
    format!(
        "\
# Written by constellation-deploy: change the definition, not this file.
worker_processes auto;
pid /var/run/nginx.pid;
error_log /dev/stderr info;
events {{ worker_connections 1024; }}
http {{
    access_log /dev/stdout;
    # The client's address, as Traefik and Cloudflare before it tell it.
{trusted}    real_ip_header X-Forwarded-For;
    real_ip_recursive on;
    # The engine's own resolver: TinyAuth may be started later, and move.
    resolver 127.0.0.11 valid=10s ipv6=off;

    # Keys, from files of the operator: lines such as `\"a long key\" 1;`.
    map $http_x_api_key $has_key {{
        default 0;
        include /etc/nginx/auth/*.keys;
    }}
    limit_req_zone $binary_remote_addr zone=auth:10m rate=10r/s;

    server {{
        listen 80;
        location = /health {{
            access_log off;
            return 200 \"ok\n\";
        }}
        location = /auth {{
            if ($has_key) {{
                add_header X-Auth-Method api-key always;
                add_header X-Auth-Passed true always;
                add_header X-Middleware-Name nginx-auth always;
                return 204;
            }}
            # Addresses, from files of the operator: lines such as `allow 192.0.2.0/24;`.
            include /etc/nginx/auth/*.addresses;
            deny all;
            error_page 403 = @ask;
            add_header X-Auth-Method address always;
            add_header X-Auth-Passed true always;
            add_header X-Middleware-Name nginx-auth always;
            # Looked at after the addresses were, which `return` would not be.
            try_files /nothing =204;
        }}
        location @ask {{
            limit_req zone=auth burst=20 nodelay;
            add_header X-Auth-Method ask always;
            add_header X-Middleware-Name nginx-auth always;
            set $tinyauth http://auth:3000;
            proxy_pass $tinyauth/api/auth/traefik;
            proxy_pass_request_body off;
            proxy_set_header Content-Length \"\";
        }}
        location / {{ return 404; }}
    }}
}}
"
    )
}

/// What CrowdSec reads: Traefik's log, which is mounted.
pub(super) const CROWDSEC_LOGS: &str = "filenames: [/var/log/traefik/*.log]\nlabels:\n  type: traefik\n";

/// docker-gen's template of `failover-fallbacks.yaml`: the routes of this node's containers once more, at the lowest
/// priority, for the time in which nobody answers Traefik's question for the routes of all nodes.
///
/// Only a router that is named as its container is copied, and with its middlewares: a route without its authentication
/// would be worse than none. Where there is none nothing is written, because Traefik refuses empty maps.
pub(super) const FALLBACKS: &str = r#"# Written by docker-gen from traefik-failover-dynamic.conf.tmpl.
{{- $some := false }}
{{- range $c := $ }}
{{- $port := index $c.Labels (printf "traefik.http.services.%s.loadbalancer.server.port" $c.Name) }}
{{- $rule := index $c.Labels (printf "traefik.http.routers.%s.rule" $c.Name) }}
{{- if and $c.State.Running $port $rule }}{{ $some = true }}{{ end }}
{{- end }}
{{- if $some }}
http:
  routers:
{{- range $c := $ }}
{{- $port := index $c.Labels (printf "traefik.http.services.%s.loadbalancer.server.port" $c.Name) }}
{{- $rule := index $c.Labels (printf "traefik.http.routers.%s.rule" $c.Name) }}
{{- if and $c.State.Running $port $rule }}
    {{ $c.Name }}-fallback:
      rule: '{{ $rule }}'
      priority: 2
      entryPoints: [websecure]
      service: {{ $c.Name }}-fallback
{{- with index $c.Labels (printf "traefik.http.routers.%s.middlewares" $c.Name) }}
      middlewares:
{{- range split . "," }}
        - "{{ . }}"
{{- end }}
{{- end }}
{{- end }}
{{- end }}
  services:
{{- range $c := $ }}
{{- $port := index $c.Labels (printf "traefik.http.services.%s.loadbalancer.server.port" $c.Name) }}
{{- $rule := index $c.Labels (printf "traefik.http.routers.%s.rule" $c.Name) }}
{{- if and $c.State.Running $port $rule }}
    {{ $c.Name }}-fallback:
      loadBalancer:
        servers:
          - url: http://{{ $c.Name }}:{{ $port }}
{{- end }}
{{- end }}
{{- end }}
"#;
