//! `DATABASE_URL` as (clean URL, TLS policy, CA), for whichever Postgres client a task has.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::anyhow;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};

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

/// Reads libpq's URL form: `postgresql://user:password@host:port/dbname?sslmode=…&sslrootcert=…`, where
/// each part before the question mark may stand behind it instead, as `host=…`.
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
    let rest = text
        .strip_prefix("postgresql://")
        .or_else(|| text.strip_prefix("postgres://"));
    let (address, query) = split(rest.ok_or("it does not begin with postgresql://")?, '?');
    let (authority, dbname) = split(address, '/');
    let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = split(login, ':');
    let (host, port) = host_and_port(place)?;
    let mut parts = BTreeMap::new();
    for (name, value) in [
        ("host", host),
        ("port", port),
        ("user", user),
        ("password", password),
        ("dbname", dbname),
    ] {
        parts.insert(name, decoded(value)?);
    }
    // As written: clients differ in how they read an encoded space.
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = split(pair, '=');
        parts.insert(name, decoded(value)?);
        if !["sslmode", "sslrootcert"].contains(&name) {
            kept.push(pair);
        }
    }
    let mut part = |name| parts.remove(name).filter(|value| !value.is_empty());
    let host = part("host").ok_or("it names no host")?;
    let user = part("user").ok_or("it names no user")?;
    let tls = part("sslmode").map_or(Ok(TlsPolicy::Prefer), |sslmode| policy(&sslmode))?;
    // `system` is libpq's word for the system's authorities, which are the default here.
    let root_cert = part("sslrootcert")
        .filter(|path| path != "system")
        .map(PathBuf::from);
    let end = if kept.is_empty() {
        String::new()
    } else {
        format!("?{}", kept.join("&"))
    };
    Ok(DatabaseUrl {
        clean: format!("postgresql://{address}{end}").into(),
        tls: if tls == TlsPolicy::Require && root_cert.is_some() {
            TlsPolicy::VerifyCa
        } else {
            tls
        },
        root_cert,
        host,
        port: part("port")
            .map_or(Ok(5432), |port| port.parse())
            .map_err(|_| "its port is no port")?,
        password: part("password").map(SecretString::from),
        dbname: part("dbname").unwrap_or_else(|| user.clone()),
        user,
    })
}

/// What comes before and behind the first `separator`.
fn split(text: &str, separator: char) -> (&str, &str) {
    text.split_once(separator).unwrap_or((text, ""))
}

fn host_and_port(place: &str) -> Result<(&str, &str), &'static str> {
    if place.contains(',') {
        return Err("it has several hosts");
    }
    match place
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((address, port)) => Ok((address, port.trim_start_matches(':'))),
        None => Ok(split(place, ':')),
    }
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
            ("postgres://u:hush@h:x/d", "port"),
            ("postgres://u:hush@a:1,b:2/d", "several hosts"),
            ("postgres://u@/d?password=hush", "no host"),
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
