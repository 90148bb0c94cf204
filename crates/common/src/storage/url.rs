//! The address of a storage.

use std::{fmt, path::PathBuf, str::FromStr};

/// `s3://bucket/prefix` or `file:///absolute/dir`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LandingUrl {
    /// A bucket and what comes before every key, without slashes at its ends; may be empty.
    S3 {
        /// Name of the bucket.
        bucket: String,
        /// Prefix of every key.
        prefix: String,
    },
    /// A directory.
    Directory(PathBuf),
}

/// A text that is no address of a storage.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is neither s3://bucket/prefix nor file:///absolute/dir")]
pub struct InvalidLandingUrl(String);

impl FromStr for LandingUrl {
    type Err = InvalidLandingUrl;

    fn from_str(text: &str) -> Result<Self, InvalidLandingUrl> {
        let invalid = || InvalidLandingUrl(text.to_owned());
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let named = |c: char| c.is_ascii_alphanumeric() || ".-_:/".contains(c);
            if bucket.is_empty() || !bucket.chars().all(named) {
                return Err(invalid());
            }
            return Ok(Self::S3 {
                bucket: bucket.to_owned(),
                prefix: prefix.trim_matches('/').to_owned(),
            });
        }
        let url = url::Url::parse(text)
            .ok()
            .filter(|url| url.scheme() == "file" && text.starts_with("file:///"));
        let path = url
            .and_then(|url| url.to_file_path().ok())
            .ok_or_else(invalid)?;
        Ok(Self::Directory(path))
    }
}

impl fmt::Display for LandingUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(formatter, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(formatter, "s3://{bucket}/{prefix}"),
            Self::Directory(path) => match url::Url::from_file_path(path) {
                Ok(url) => url.fmt(formatter),
                Err(()) => write!(formatter, "file://{}", path.display()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_bucket_or_an_absolute_directory() {
        for (text, shown) in [
            ("s3://bucket", "s3://bucket"),
            ("s3://bucket/", "s3://bucket"),
            ("s3://bucket/a/b/", "s3://bucket/a/b"),
            ("file:///tmp/land%20ing", "file:///tmp/land%20ing"),
        ] {
            assert_eq!(text.parse::<LandingUrl>().unwrap().to_string(), shown);
        }
        let spaced: LandingUrl = "file:///tmp/land ing".parse().unwrap();
        assert_eq!(spaced, LandingUrl::Directory("/tmp/land ing".into()));
        for text in [
            "",
            "/tmp",
            "file://tmp/x",
            "file:relative",
            "s3://",
            "s3:///x",
            "https://h/b",
        ] {
            assert!(text.parse::<LandingUrl>().is_err(), "{text}");
        }
    }
}
