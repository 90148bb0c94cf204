//! strava-load
