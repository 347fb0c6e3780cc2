//! What the proxy answers by itself, and when. `docs/proxy.md` has it as a table.

use bytes::Bytes;
use hyper::{
    HeaderMap, Response, StatusCode,
    header::{CONNECTION, CONTENT_TYPE, HeaderValue},
};

use super::body::ProxyBody;

/// Why a request was not given to a backend, or no answer came of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request contradicts itself or HTTP.
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
    /// No router takes it.
    #[error("no router takes this request")]
    NoRouter,
    /// The router's guards cannot be kept here.
    #[error("this request cannot be served here: {0}")]
    Guarded(std::sync::Arc<str>),
    /// `CONNECT` and `TRACE` are not for a gateway.
    #[error("this method is not served")]
    Method,
    /// The URI is too long.
    #[error("the URI is too long")]
    UriTooLong,
    /// The head's fields are too long together.
    #[error("the head is too long")]
    HeadTooLong,
    /// The body is too long.
    #[error("the body is too long")]
    TooLarge,
    /// The client stopped in the middle of its body.
    #[error("the body did not come in time")]
    BodyStalled,
    /// The client's body broke off.
    #[error("the body broke off")]
    BodyBroken,
    /// There is nobody to ask.
    #[error("no server is available")]
    NoBackend,
    /// Whoever was asked could not be reached, or gave no answer that is one.
    #[error("the server gave no valid answer")]
    BadGateway,
    /// Whoever was asked did not begin to answer in time.
    #[error("the server did not answer in time")]
    Timeout,
}

impl Refusal {
    /// The status that says so.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::NoRouter => StatusCode::NOT_FOUND,
            Self::Guarded(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyStalled => StatusCode::REQUEST_TIMEOUT,
            Self::NoBackend => StatusCode::SERVICE_UNAVAILABLE,
            Self::BadGateway => StatusCode::BAD_GATEWAY,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Whether the connection can carry no other request: nobody knows where in it the next one would begin, or the rest of a
    /// body that nobody wants would have to be read first.
    const fn ends_connection(&self) -> bool {
        matches!(
            self,
            Self::Malformed(_)
                | Self::TooLarge
                | Self::BodyStalled
                | Self::BodyBroken
                | Self::Method
                | Self::UriTooLong
                | Self::HeadTooLong
        )
    }

    /// The answer. `http1` says whether a connection can be told to end by a header.
    pub(super) fn response(&self, http1: bool) -> Response<ProxyBody> {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if http1 && self.ends_connection() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let text = match self {
            // Which of them it is concerns whoever runs the proxy, and is in its log.
            Self::Guarded(_) => "this request cannot be served here\n".to_owned(),
            other => format!("{other}\n"),
        };
        let mut response = Response::new(ProxyBody::Text(Some(Bytes::from(text))));
        *response.status_mut() = self.status();
        *response.headers_mut() = headers;
        response
    }
}
