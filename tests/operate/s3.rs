//! A lake in a bucket: its history and its past states are those of the same lake in memory.

use std::sync::{Arc, Mutex};

use cdc_to_s3::lake::store::{ObjectStore, S3Options, S3Store};
use cdc_to_s3::ops::history::{self, Span};
use cdc_to_s3::ops::restore::{At, Output, restore};

use crate::support::emulator;
use crate::support::scene::{MINUTE, Scene};

/// Bytes that stay at hand.
#[derive(Clone, Default)]
struct Pot(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Pot {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn told(store: &dyn ObjectStore, scene: &Scene, at: At) -> (String, String) {
    let found = history::read(store, &[(&scene.spec.name).into()], Span::ALL).await.unwrap();
    let pot = Pot::default();
    let output = Output::Stream { to: Box::new(pot.clone()), delimiter: None };
    let restored = restore(store, &scene.spec, at, scene.folder.path(), output).await.unwrap();
    assert!(restored.proven, "{restored:?}");
    let changes = serde_json::to_value(&found.tables[0].changes).unwrap();
    let changes: Vec<_> =
        changes.as_array().unwrap().iter().map(|c| format!("{} {}", c["run_at"], c["updated"])).collect();
    (changes.join(", "), String::from_utf8(pot.0.lock().unwrap().clone()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_tells_what_a_folder_tells() {
    let (client, bucket) = emulator::bucket().await;
    let bucket: Arc<dyn ObjectStore> = Arc::new(S3Store::new(client, S3Options::new(&bucket, "lake")));
    let scene = Scene::named("after a checkpoint").await;
    let memory = scene.store().await;
    scene.fill(&*bucket).await;
    for store in [&*memory as &dyn ObjectStore, &*bucket] {
        assert!(scene.run(store, &scene.request).await.error.is_none());
    }
    for minute in [0, 60, MINUTE] {
        let at = At::Time(crate::support::lake::at(minute));
        let (changes, rows) = told(&*memory, &scene, at).await;
        assert_eq!(told(&*bucket, &scene, at).await, (changes.clone(), rows.clone()));
        assert_eq!((changes.split(", ").count(), rows.lines().count()), (3, 5), "{rows}");
    }
}
