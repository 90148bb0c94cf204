use rdkafka::{
    producer::{BaseProducer, BaseRecord, Producer as _},
    types::{RDKafkaApiKey, RDKafkaRespErr},
};

use super::*;
use crate::{
    metrics::METRICS,
    topic::tests::{SOON, client, cluster, committed, join},
};

#[tokio::test]
async fn what_the_broker_refused_to_commit_is_committed_again() {
    let cluster = cluster();
    let producer: BaseProducer = client(&cluster).create().unwrap();
    for _ in 0..20 {
        let record = BaseRecord::to("readings")
            .key("place")
            .payload("no reading");
        producer.send(record).unwrap();
    }
    producer.flush(SOON).unwrap();
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS;
    cluster.request_errors(RDKafkaApiKey::OffsetCommit, &[refusal; 3]);

    let (asides, mut aside) = mpsc::channel(QUEUE_LETTERS);
    let (writes, _unused) = mpsc::channel(QUEUE_ROWS);
    let (report, reports) = std::sync::mpsc::channel();
    let outlets = Outlets {
        writes: Some(writes),
        files: None,
        asides,
    };
    let limits = Limits {
        max_rows: 1,
        max_bytes: 1 << 20,
        max_age: SOON,
        drain: SOON,
        stall: SOON,
    };
    let (vitals, stop) = (Vitals::new(METRICS), CancellationToken::new());
    let topic = join(&cluster);
    vitals.ready("kafka");
    let pulse = Pulse::default();
    let intake = Intake::new("readings", outlets, reports, limits, vitals, pulse);
    let thread = std::thread::spawn({
        let stop = stop.clone();
        move || intake.run(topic, &stop)
    });
    for _ in 0..20 {
        let Aside { claim, record, .. } = aside.recv().await.unwrap();
        let (offset, bytes) = (record.place.offset, record.bytes());
        let buried = Report::Buried {
            claim,
            offset,
            bytes,
            is_new: offset % 2 == 0,
        };
        report.send(buried).unwrap();
    }
    stop.cancel();
    let ended = tokio::task::spawn_blocking(|| thread.join().unwrap()).await;
    let ended = ended.unwrap().unwrap();
    assert!(ended.settled);
    assert_eq!(
        ended.counts.dead_lettered, 10,
        "the others were there before"
    );
    assert_eq!(committed(&cluster), 20);
}
