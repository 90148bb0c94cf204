//! strava-extract
