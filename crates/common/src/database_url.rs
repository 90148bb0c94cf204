//! `DATABASE_URL` as (clean URL, TLS policy, CA), for whichever Postgres client a task has.

use std::path::PathBuf;

use anyhow::anyhow;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::task::Refused;

/// libpq's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsPolicy {
    /// No TLS.
    Disable,
    /// TLS where the server offers it, without a look at its certificate; libpq's default.
    Prefer,
    /// TLS, without a look at the certificate (with a root certificate: as [`VerifyCa`](Self::VerifyCa), like libpq).
    Require,
    /// TLS with a certificate that the root certificate vouches for, whatever its name.
    VerifyCa,
    /// The same, and the name is the host's.
    VerifyFull,
}

/// What a Postgres client needs to connect.
#[derive(Clone, Debug)]
pub struct DatabaseUrl {
    /// The URL without `sslmode` and `sslrootcert`, which clients know in part only.
    pub clean: SecretString,
    /// How far TLS is asked for and checked.
    pub tls: TlsPolicy,
    /// PEM file of the authorities to trust; none: the system's.
    pub root_cert: Option<PathBuf>,
    /// Host name, address, or the directory of a Unix socket (it begins with `/`).
    pub host: String,
    /// Port, 5432 where the URL has none.
    pub port: u16,
    /// Role to log in as.
    pub user: String,
    /// Its password, where the URL has one.
    pub password: Option<SecretString>,
    /// Database, the role's name where the URL has none.
    pub dbname: String,
}

/// Reads libpq's URL form: `postgresql://user:password@host:port/dbname?sslmode=…&sslrootcert=…`.
///
/// # Errors
/// [`Refused`] when it is no such URL; no part of it is in the message.
pub fn parse(url: &SecretString) -> anyhow::Result<DatabaseUrl> {
    read(url.expose_secret()).map_err(|reason| {
        anyhow!(Refused::new(format!(
            "read DATABASE_URL: {reason}; it looks like postgresql://user:password@host:5432/dbname?sslmode=verify-full"
        )))
    })
}

fn read(text: &str) -> Result<DatabaseUrl, &'static str> {
    if !(text.starts_with("postgresql://") || text.starts_with("postgres://")) {
        return Err("it does not begin with postgresql://");
    }
    let mut url = Url::parse(text).map_err(|_| "it is no URL, or has several hosts")?;
    let (mut tls, mut root_cert, mut socket) = (TlsPolicy::Prefer, None, None);
    let mut kept = Vec::new();
    for pair in url
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
    {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value)?;
        match name {
            "sslmode" => tls = policy(&value)?,
            // libpq's word for the system's authorities, which are the default here.
            "sslrootcert" if value == "system" => root_cert = None,
            "sslrootcert" => root_cert = Some(PathBuf::from(value)),
            _ => {
                // As written: clients differ in how they read an encoded space.
                kept.push(pair.to_owned());
                if name == "host" {
                    socket = Some(value);
                }
            }
        }
    }
    url.set_query((!kept.is_empty()).then(|| kept.join("&")).as_deref());
    let host = url
        .host_str()
        .filter(|host| !host.is_empty())
        .map(ToOwned::to_owned);
    let host = host.or(socket).ok_or("it names no host")?;
    let user = decoded(url.username())?;
    if user.is_empty() {
        return Err("it names no user");
    }
    let dbname = decoded(url.path().trim_start_matches('/'))?;
    Ok(DatabaseUrl {
        tls: if tls == TlsPolicy::Require && root_cert.is_some() {
            TlsPolicy::VerifyCa
        } else {
            tls
        },
        root_cert,
        host: decoded(host.trim_matches(['[', ']']))?,
        port: url.port().unwrap_or(5432),
        password: url
            .password()
            .map(decoded)
            .transpose()?
            .map(SecretString::from),
        dbname: if dbname.is_empty() {
            user.clone()
        } else {
            dbname
        },
        user,
        clean: SecretString::from(String::from(url)),
    })
}

fn policy(sslmode: &str) -> Result<TlsPolicy, &'static str> {
    match sslmode {
        "disable" => Ok(TlsPolicy::Disable),
        "allow" | "prefer" => Ok(TlsPolicy::Prefer),
        "require" => Ok(TlsPolicy::Require),
        "verify-ca" => Ok(TlsPolicy::VerifyCa),
        "verify-full" => Ok(TlsPolicy::VerifyFull),
        _ => Err("its sslmode is none of disable, allow, prefer, require, verify-ca, verify-full"),
    }
}

/// Percent-decoded, as libpq does it: `+` is a plus.
fn decoded(text: &str) -> Result<String, &'static str> {
    let decoded = percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| "an encoded character is no UTF-8")?;
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> anyhow::Result<DatabaseUrl> {
        parse(&SecretString::from(url))
    }

    #[test]
    fn all_of_a_url_is_read_and_what_clients_do_not_know_is_taken_out() {
        let url = "postgresql://us%40er:p%2Fa+ss@db.example:6543/da%20ta?sslmode=verify-full&options=-c%20a%3Db&sslrootcert=/etc/c%20a.pem";
        let url = parsed(url).unwrap();
        assert_eq!(
            url.clean.expose_secret(),
            "postgresql://us%40er:p%2Fa+ss@db.example:6543/da%20ta?options=-c%20a%3Db"
        );
        assert_eq!(
            (url.tls, url.root_cert),
            (TlsPolicy::VerifyFull, Some("/etc/c a.pem".into()))
        );
        assert_eq!((url.host.as_str(), url.port), ("db.example", 6543));
        assert_eq!((url.user.as_str(), url.dbname.as_str()), ("us@er", "da ta"));
        assert_eq!(url.password.unwrap().expose_secret(), "p/a+ss");
    }

    #[test]
    fn what_is_not_said_has_libpqs_default() {
        let url = parsed("postgres://me@[::1]").unwrap();
        assert_eq!(
            (url.tls, url.root_cert, url.port),
            (TlsPolicy::Prefer, None, 5432)
        );
        assert_eq!((url.host.as_str(), url.dbname.as_str()), ("::1", "me"));
        assert!(url.password.is_none());
        assert_eq!(
            parsed("postgresql://me@/db?host=/run/postgresql")
                .unwrap()
                .host,
            "/run/postgresql"
        );
        let pinned = parsed("postgres://me@h/db?sslmode=require&sslrootcert=ca.pem").unwrap();
        assert_eq!(pinned.tls, TlsPolicy::VerifyCa);
        assert_eq!(
            parsed("postgres://me@h/db?sslrootcert=system")
                .unwrap()
                .root_cert,
            None
        );
    }

    #[test]
    fn a_refusal_says_what_is_wrong_and_nothing_of_the_url() {
        for (url, reason) in [
            ("mysql://u:hush@h/d", "does not begin"),
            ("postgres://u:hush@h:x/d", "no URL"),
            ("postgres://u:hush@a:1,b:2/d", "several hosts"),
            ("postgres:///d?password=hush", "no host"),
            ("postgres://:hush@h/d", "no user"),
            ("postgres://u:hush@h/d?sslmode=always", "sslmode"),
            ("postgres://u:hush%ff@h/d", "UTF-8"),
        ] {
            let error = parsed(url).unwrap_err();
            assert!(crate::task::is_refused(&error));
            let text = format!("{error:#} {error:?}");
            assert!(text.contains(reason) && !text.contains("hush"), "{text}");
        }
        assert!(!format!("{:?}", parsed("postgres://u:hush@h/d").unwrap()).contains("hush"));
    }
}
