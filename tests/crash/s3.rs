//! The matrix in small against S3: over HTTP, and with objects in parts.

use std::sync::Arc;

use cdc_to_s3::lake::store::{ObjectStore, S3Options, S3Store};

use super::{MOMENTS, Successor, succeed};
use crate::support::emulator;
use crate::support::faults::FaultyStore;
use crate::support::scene::Scene;

/// Small enough for the Parquet files to come in parts, and for the states not to.
const PART: u64 = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_call_to_s3_loses_and_repeats_nothing() {
    let (client, bucket) = emulator::bucket().await;
    let mut points = 0;
    for name in ["first run", "next run", "after a claim", "after a publication"] {
        let scene = Scene::named(name).await;
        for call in 0..scene.calls().await.len() {
            for (moment, successor) in MOMENTS.into_iter().zip([Successor::Later, Successor::Twin]) {
                points += 1;
                let options = S3Options {
                    multipart_threshold: PART,
                    part_size: PART,
                    ..S3Options::new(&bucket, points.to_string())
                };
                let inner: Arc<dyn ObjectStore> = Arc::new(S3Store::new(client.clone(), options));
                scene.fill(&*inner).await;
                let store = FaultyStore::new(Arc::clone(&inner));
                store.crash(call, moment);
                let _ = scene.run(&store, &scene.request).await;
                succeed(&scene, &*inner, successor).await;
                scene.assert_complete(&*inner).await;
            }
        }
    }
    eprintln!("{points} points on S3");
    assert!(points >= 60, "only {points} points");
}
