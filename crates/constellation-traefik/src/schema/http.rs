//! HTTP middlewares.

use super::{Field, Kind, duration, flag, list, map, number, of, switch, text};

const IP_STRATEGY: &[Field] = &[number("depth"), list("excludedIPs"), number("ipv6Subnet")];

const SOURCE: &[Field] = &[switch("ipStrategy", IP_STRATEGY), text("requestHeaderName"), flag("requestHost")];

const CLIENT_TLS: &[Field] =
    &[text("ca"), text("cert"), text("key"), flag("insecureSkipVerify"), flag("caOptional")];

const ISSUER: &[Field] = &[
    flag("country"),
    flag("province"),
    flag("locality"),
    flag("organization"),
    flag("commonName"),
    flag("serialNumber"),
    flag("domainComponent"),
];

const SUBJECT: &[Field] = &[
    flag("country"),
    flag("province"),
    flag("locality"),
    flag("organization"),
    flag("organizationalUnit"),
    flag("commonName"),
    flag("serialNumber"),
    flag("domainComponent"),
];

const HEADERS: &[Field] = &[
    map("customRequestHeaders"),
    map("customResponseHeaders"),
    flag("accessControlAllowCredentials"),
    list("accessControlAllowHeaders"),
    list("accessControlAllowMethods"),
    list("accessControlAllowOriginList"),
    list("accessControlAllowOriginListRegex"),
    list("accessControlExposeHeaders"),
    number("accessControlMaxAge"),
    flag("addVaryHeader"),
    list("allowedHosts"),
    list("hostsProxyHeaders"),
    map("sslProxyHeaders"),
    number("stsSeconds"),
    flag("stsIncludeSubdomains"),
    flag("stsPreload"),
    flag("forceSTSHeader"),
    flag("frameDeny"),
    text("customFrameOptionsValue"),
    flag("contentTypeNosniff"),
    flag("browserXssFilter"),
    text("customBrowserXSSValue"),
    text("contentSecurityPolicy"),
    text("contentSecurityPolicyReportOnly"),
    text("publicKey"),
    text("referrerPolicy"),
    text("permissionsPolicy"),
    flag("isDevelopment"),
    text("featurePolicy"),
    flag("sslRedirect"),
    flag("sslTemporaryRedirect"),
    text("sslHost"),
    flag("sslForceHost"),
];

const FORWARD_AUTH: &[Field] = &[
    text("address"),
    of("tls", CLIENT_TLS),
    flag("trustForwardHeader"),
    list("authResponseHeaders"),
    text("authResponseHeadersRegex"),
    list("authRequestHeaders"),
    list("addAuthCookiesToResponse"),
    text("headerField"),
    flag("forwardBody"),
    number("maxBodySize"),
    flag("preserveLocationHeader"),
    flag("preserveRequestMethod"),
];

const REDIS: &[Field] = &[
    list("endpoints"),
    of("tls", &[text("ca"), text("cert"), text("key"), flag("insecureSkipVerify")]),
    text("username"),
    text("password"),
    number("db"),
    number("poolSize"),
    number("minIdleConns"),
    number("maxActiveConns"),
    duration("readTimeout"),
    duration("writeTimeout"),
    duration("dialTimeout"),
];

/// Every middleware by its kind.
pub(crate) const MIDDLEWARES: &[Field] = &[
    of("addPrefix", &[text("prefix")]),
    of(
        "basicAuth",
        &[list("users"), text("usersFile"), text("realm"), flag("removeHeader"), text("headerField")],
    ),
    of(
        "buffering",
        &[
            number("maxRequestBodyBytes"),
            number("memRequestBodyBytes"),
            number("maxResponseBodyBytes"),
            number("memResponseBodyBytes"),
            text("retryExpression"),
        ],
    ),
    of("chain", &[list("middlewares")]),
    of(
        "circuitBreaker",
        &[
            text("expression"),
            duration("checkPeriod"),
            duration("fallbackDuration"),
            duration("recoveryDuration"),
            number("responseCode"),
        ],
    ),
    switch(
        "compress",
        &[
            list("excludedContentTypes"),
            list("includedContentTypes"),
            number("minResponseBodyBytes"),
            list("encodings"),
            text("defaultEncoding"),
        ],
    ),
    switch("contentType", &[flag("autoDetect")]),
    of(
        "digestAuth",
        &[list("users"), text("usersFile"), text("realm"), flag("removeHeader"), text("headerField")],
    ),
    of(
        "errors",
        &[
            list("status"),
            Field { name: "statusRewrites", kind: Kind::Numbers },
            text("service"),
            text("query"),
        ],
    ),
    of("forwardAuth", FORWARD_AUTH),
    of("grpcWeb", &[list("allowOrigins")]),
    of("headers", HEADERS),
    of("ipAllowList", &[list("sourceRange"), switch("ipStrategy", IP_STRATEGY), number("rejectStatusCode")]),
    of("ipWhiteList", &[list("sourceRange"), switch("ipStrategy", IP_STRATEGY)]),
    of("inFlightReq", &[number("amount"), of("sourceCriterion", SOURCE)]),
    of(
        "passTLSClientCert",
        &[
            flag("pem"),
            of(
                "info",
                &[
                    flag("notAfter"),
                    flag("notBefore"),
                    flag("sans"),
                    flag("serialNumber"),
                    of("subject", SUBJECT),
                    of("issuer", ISSUER),
                ],
            ),
        ],
    ),
    Field { name: "plugin", kind: Kind::Free },
    of(
        "rateLimit",
        &[
            number("average"),
            duration("period"),
            number("burst"),
            of("sourceCriterion", SOURCE),
            of("redis", REDIS),
        ],
    ),
    of("redirectRegex", &[text("regex"), text("replacement"), flag("permanent")]),
    of("redirectScheme", &[text("scheme"), text("port"), flag("permanent")]),
    of("replacePath", &[text("path")]),
    of("replacePathRegex", &[text("regex"), text("replacement")]),
    of("retry", &[number("attempts"), duration("initialInterval")]),
    of("stripPrefix", &[list("prefixes"), flag("forceSlash")]),
    of("stripPrefixRegex", &[list("regex")]),
];
