//! The body of an answer that is no success: Strava's `Fault`, and what stands in its place at times.

use reqwest::StatusCode;
use serde_json::Value;

/// What a person has to do to give the task a token that Strava takes.
pub(crate) const AUTHORISE_AGAIN: &str = "authorise the application again with the scopes read, profile:read_all and \
     activity:read_all, put the refresh token that comes of it into STRAVA_REFRESH_TOKEN and remove the token store, \
     which wins over it";

/// `{"message", "errors": [{"resource", "field", "code"}]}`; `errors` may be a text, and the body
/// may be empty or HTML.
#[derive(Debug, Default)]
pub(crate) struct Fault {
    message: String,
    errors: Vec<[String; 3]>,
}

impl Fault {
    pub(crate) fn read(body: &[u8]) -> Self {
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            return Self::default();
        };
        let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let errors = match &value["errors"] {
            Value::Array(errors) => errors
                .iter()
                .map(|error| ["resource", "field", "code"].map(|name| text(error, name)))
                .collect(),
            Value::String(error) => vec![[String::new(), error.clone(), String::new()]],
            _ => Vec::new(),
        };
        Self {
            message: text(&value, "message"),
            errors,
        }
    }

    fn has(&self, resource: &str, field: &str, code: &str) -> bool {
        let is =
            |found: &str, wanted: &str| wanted.is_empty() || found.eq_ignore_ascii_case(wanted);
        self.errors
            .iter()
            .any(|[r, f, c]| is(r, resource) && is(f, field) && is(c, code))
    }

    /// A token that lacks a scope is refused like a wrong one, with 401: only the body tells.
    pub(crate) fn missing_scope(&self) -> Option<String> {
        let [_, field, _] = self
            .errors
            .iter()
            .find(|[_, field, code]| field.ends_with("permission") && code == "missing")?;
        let scope = field.trim_end_matches("_permission");
        Some(format!(
            "the token lacks the scope {scope} (the token on Strava's own settings page always does); {AUTHORISE_AGAIN}"
        ))
    }

    pub(crate) fn unauthorized(&self) -> String {
        format!(
            "Strava refuses the access token, a fresh one too{}; {AUTHORISE_AGAIN}",
            self.in_brackets()
        )
    }

    /// Why a refresh was refused.
    pub(crate) fn refused_refresh(&self) -> String {
        if self.has("Application", "client_id", "invalid") || self.has("Application", "", "invalid")
        {
            return format!(
                "Strava does not know this application{}: compare STRAVA_CLIENT_ID and STRAVA_CLIENT_SECRET with \
                 https://www.strava.com/settings/api",
                self.in_brackets()
            );
        }
        if self.is_inactive() {
            return self.forbidden(StatusCode::FORBIDDEN);
        }
        format!(
            "Strava refuses the refresh token{}; {AUTHORISE_AGAIN}",
            self.in_brackets()
        )
    }

    pub(crate) fn forbidden(&self, status: StatusCode) -> String {
        if self.is_inactive() {
            return "Strava has made the application inactive: since June 2026 the API needs a Strava subscription. \
                    Renew it, or ask Strava for the archive of your data and read it with `strava-extract export`, \
                    which needs neither"
                .to_owned();
        }
        if self.message.contains("connected athletes") {
            return "the application has as many athletes as Strava allows it: remove one or ask Strava for more \
                    at https://www.strava.com/settings/api"
                .to_owned();
        }
        format!(
            "Strava answered {status}{}; {AUTHORISE_AGAIN}",
            self.in_brackets()
        )
    }

    /// Whether a 403 is about the application, and not about the one thing that was asked for.
    pub(crate) fn is_about_application(&self) -> bool {
        self.has("Application", "", "") || self.message.contains("connected athletes")
    }

    fn is_inactive(&self) -> bool {
        self.has("Application", "Status", "Inactive")
    }

    /// Before 2017, and on some paths since, a limit came as 403.
    pub(crate) fn is_rate_limit(&self) -> bool {
        let limit = |text: &str| text.to_ascii_lowercase().contains("rate limit");
        limit(&self.message)
            || self
                .errors
                .iter()
                .any(|[_, field, code]| limit(field) || limit(code))
    }

    /// ` (AccessToken/activity:read_permission/missing)`, or nothing. Codes only: a message may
    /// hold anything.
    pub(crate) fn in_brackets(&self) -> String {
        let codes: Vec<String> = self
            .errors
            .iter()
            .map(|parts| parts.join("/"))
            .take(3)
            .collect();
        if codes.is_empty() {
            String::new()
        } else {
            format!(" ({})", codes.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::Fault;

    #[test]
    fn a_missing_scope_is_told_from_a_wrong_token() {
        let scope = r#"{"message":"Authorization Error","errors":[{"resource":"AccessToken","field":"activity:read_permission","code":"missing"}]}"#;
        let wrong = r#"{"message":"Authorization Error","errors":[{"resource":"Athlete","field":"access_token","code":"invalid"}]}"#;
        assert!(
            Fault::read(scope.as_bytes())
                .missing_scope()
                .unwrap()
                .contains("activity:read")
        );
        assert_eq!(Fault::read(wrong.as_bytes()).missing_scope(), None);
    }

    #[test]
    fn an_inactive_application_is_told_about_the_export() {
        let body = r#"{"message":"Forbidden","errors":[{"resource":"Application","field":"Status","code":"Inactive"}]}"#;
        assert!(
            Fault::read(body.as_bytes())
                .forbidden(StatusCode::FORBIDDEN)
                .contains("strava-extract export")
        );
    }

    #[test]
    fn errors_may_be_a_text_and_a_body_may_be_nothing() {
        let body = r#"{"errors":"Rate Limit Exceeded","status":429,"message":"Too Many Requests"}"#;
        assert!(Fault::read(body.as_bytes()).is_rate_limit());
        for body in [
            "",
            "<html>Bad Gateway</html>",
            "[]",
            "null",
            r#"{"errors":7}"#,
            r#"{"message":"error"}"#,
        ] {
            assert_eq!(Fault::read(body.as_bytes()).in_brackets(), "", "{body}");
        }
    }

    #[test]
    fn a_wrong_client_is_told_from_a_wrong_refresh_token() {
        let client = r#"{"message":"Bad Request","errors":[{"resource":"Application","field":"client_id","code":"invalid"}]}"#;
        let token = r#"{"message":"Bad Request","errors":[{"resource":"RefreshToken","field":"refresh_token","code":"invalid"}]}"#;
        assert!(
            Fault::read(client.as_bytes())
                .refused_refresh()
                .contains("STRAVA_CLIENT_ID")
        );
        assert!(
            Fault::read(token.as_bytes())
                .refused_refresh()
                .contains("STRAVA_REFRESH_TOKEN")
        );
    }
}
