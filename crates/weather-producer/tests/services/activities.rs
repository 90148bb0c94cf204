//! The places of activities, as the loader leaves them in Postgres.

use secrecy::SecretString;
use tokio_postgres::NoTls;
use weather_producer::backfill::from_database;

use super::variable;

/// A database of its own, as the table's name is what it is.
async fn database(sql: &str) -> SecretString {
    let url = variable("DATABASE_URL");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let name = format!("producer_{:016x}", fastrand::u64(..));
    client
        .batch_execute(&format!("create database {name}"))
        .await
        .unwrap();
    let (address, query) = url.split_once('?').unwrap_or((&url, ""));
    let (server, _) = address.rsplit_once('/').unwrap();
    let url = format!("{server}/{name}?{query}");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap();
    url.into()
}

const TABLE: &str = "
    create schema strava;
    create table strava.ods_strava__activities (
        _id text, _athlete_id text, _fetched_at timestamptz, _origin text, _deleted boolean,
        start_latlng double precision[], start_date timestamptz, elapsed_time bigint
    );";

#[tokio::test]
async fn an_activity_is_one_place_the_apis_first() {
    let url = database(&format!(
        "{TABLE} insert into strava.ods_strava__activities values
         ('17', '1', now(), 'export', false, '{{1.0,2.0}}', '2024-05-01 10:00+02', 3600),
         ('17', '1', now() - interval '1 day', 'api', false, '{{52.5,13.4}}', '2024-05-01 10:00+02', 3600),
         ('18', '1', now(), 'api', true, '{{52.5,13.4}}', '2024-05-01 10:00+02', 60),
         ('19', '1', now(), 'api', false, '{{}}', '2024-05-01 10:00+02', 60),
         ('20', '1', now(), 'api', false, null, '2024-05-01 10:00+02', 60),
         ('21', '1', now(), 'export', false, '{{48.1,11.5}}', '2024-05-01 10:00+02', 60)"
    ))
    .await;
    let activities = from_database(&url).await.unwrap();
    let ids: Vec<_> = activities
        .iter()
        .map(|activity| activity.id.as_str())
        .collect();
    assert_eq!(ids, ["17", "21"]);
    assert_eq!(
        (activities[0].latitude, activities[0].longitude),
        (52.5, 13.4)
    );
    assert_eq!(activities[0].started_at.to_string(), "2024-05-01T08:00:00Z");
    assert_eq!(activities[0].ended_at.to_string(), "2024-05-01T09:00:00Z");
}

#[tokio::test]
async fn columns_may_be_of_other_types_as_the_loader_infers_them() {
    let url = database(
        "create schema strava;
         create table strava.ods_strava__activities (
             _id text, _athlete_id text, _fetched_at timestamptz, _origin text, _deleted boolean,
             start_latlng jsonb, start_date text, elapsed_time double precision
         );
         insert into strava.ods_strava__activities values
         ('17', '1', now(), 'api', false, '[52.5, 13.4]', '2024-05-01T08:00:00Z', 90.5)",
    )
    .await;
    let activities = from_database(&url).await.unwrap();
    assert_eq!(activities[0].ended_at.to_string(), "2024-05-01T08:01:30.5Z");
}

#[tokio::test]
async fn what_was_never_loaded_is_no_activity() {
    assert!(
        from_database(&database("select 1").await)
            .await
            .unwrap()
            .is_empty()
    );
    let without_columns = "create schema strava;
         create table strava.ods_strava__activities (
             _id text, _athlete_id text, _fetched_at timestamptz, _origin text, _deleted boolean
         );
         insert into strava.ods_strava__activities values ('17', '1', now(), 'export', false)";
    assert!(
        from_database(&database(without_columns).await)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_database_that_is_not_there_is_a_configuration_that_no_retry_helps() {
    let url = variable("DATABASE_URL");
    let (address, _) = url.split_once('?').unwrap_or((&url, ""));
    let (server, _) = address.rsplit_once('/').unwrap();
    let error = from_database(&format!("{server}/no_such_database").into())
        .await
        .unwrap_err();
    assert!(common::task::is_refused(&error), "{error:#}");
}
