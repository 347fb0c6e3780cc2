//! The envelope that every answer comes in.
//! <https://developers.cloudflare.com/fundamentals/api/how-to/make-api-calls/>

use axum::{
    Json as Body,
    http::{HeaderName, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value as Json, json};

/// An answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Json,
}

impl Answer {
    pub(super) fn ok(result: Json) -> Self {
        let mut body = json!({ "success": true, "errors": [], "messages": [] });
        if let Some(body) = body.as_object_mut() {
            body.insert("result".to_owned(), result);
        }
        Self { status: StatusCode::OK, body }
    }

    /// A page of a list. `total` is how many there are, whatever is on the page.
    pub(super) fn page(result: Vec<Json>, page: usize, per_page: usize, total: usize) -> Self {
        let info = json!({
            "page": page, "per_page": per_page, "count": result.len(), "total_count": total,
            "total_pages": total.div_ceil(per_page.max(1)),
        });
        let mut answer = Self::ok(Json::Array(result));
        if let Some(body) = answer.body.as_object_mut() {
            body.insert("result_info".to_owned(), info);
        }
        answer
    }

    pub(super) fn error(status: StatusCode, code: u32, message: &str) -> Self {
        let errors = json!([{ "code": code, "message": message }]);
        Self { status, body: json!({ "success": false, "errors": errors, "messages": [], "result": null }) }
    }

    /// With how many requests are left, in how many seconds there are more.
    /// <https://developers.cloudflare.com/changelog/2025-09-03-rate-limiting-improvement/>
    pub(super) fn with_budget(self, left: usize, seconds: u64) -> Response {
        let headers = [
            (HeaderName::from_static("ratelimit"), format!("\"default\";r={left};t={seconds}")),
            (HeaderName::from_static("ratelimit-policy"), "\"default\";q=1200;w=300".to_owned()),
        ];
        (self.status, headers, Body(self.body)).into_response()
    }
}
