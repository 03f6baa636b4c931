//! Changes: all of them, in order, whichever way they are read, or an error.

use cdc_to_s3::error::Kind;
use cdc_to_s3::source::sqlserver::{Images, Server as _};

use super::shop::{Scene, changes, impatient, instance, range, shop};
use crate::support::sqlserver::{Access, Changes, lsn};
use crate::support::tds::{Fault, Harm, ServerError, Stage};

#[tokio::test]
async fn a_change_table_is_read_in_the_order_of_its_commands() {
    let scene = Scene::with(shop()).await;
    let (found, batches) = changes(&scene.client(4), range(103, 104), Images::BeforeAndAfter).await.unwrap();
    let expected = [
        "103 1 2 103 1030005 new",
        "103 2 3 103 1030005 before",
        "103 2 4 103 1030005 after",
        "104 1 2 104 1040005 new",
        "104 2 3 104 1040005 before",
        "104 2 4 104 1040005 after",
    ];
    assert_eq!(found, expected);
    assert_eq!(batches, [4, 2]);
    let (found, _) = changes(&scene.client(4), range(103, 103), Images::After).await.unwrap();
    assert_eq!(found, [expected[0], expected[2]]);
}

#[tokio::test]
async fn a_query_function_is_read_in_the_order_of_sequence_values() {
    let scene = Scene::with(shop()).await;
    scene.change(|contents| contents.tables[0].instances[0].access = Access::Function);
    let (found, _) = changes(&scene.client(9), range(103, 103), Images::BeforeAndAfter).await.unwrap();
    assert_eq!(found, ["103 - 3 103 1030005 before", "103 - 4 103 1030005 after", "103 - 2 103 1030005 new"]);
    let (found, _) = changes(&scene.client(9), range(101, 110), Images::After).await.unwrap();
    assert_eq!(found.len(), 18);
}

#[tokio::test]
async fn commits_without_changes_are_an_empty_answer() {
    let scene = Scene::with(shop()).await;
    let (found, batches) = changes(&scene.client(9), range(110, 110), Images::After).await.unwrap();
    assert_eq!((found.len(), batches.len()), (0, 0));
}

#[tokio::test]
async fn what_the_server_refuses_has_its_own_name() {
    let scene = Scene::with(shop()).await;
    scene.change(|contents| contents.tables[0].instances[0].access = Access::Function);
    let client = scene.client(9);
    let beyond = changes(&client, range(100, 110), Images::After).await.unwrap_err();
    assert_eq!((beyond.kind(), beyond.code()), (Kind::Data, "PositionOutOfRange"));
    let found = instance(&client).await;
    scene.change(|contents| contents.tables[0].instances[0].access = Access::Denied);
    let denied = client.changes(&found, range(101, 110), Images::After, &mut |_| unreachable!()).await.unwrap_err();
    assert_eq!((denied.kind(), denied.code()), (Kind::Config, "SqlServerDenied"));
    scene.change(|contents| contents.tables[0].instances.clear());
    let gone = client.changes(&found, range(101, 110), Images::After, &mut |_| unreachable!()).await.unwrap_err();
    assert_eq!((gone.kind(), gone.code()), (Kind::Data, "InstanceMissing"));
}

#[tokio::test]
async fn a_read_that_does_not_come_to_its_end_may_be_repeated() {
    let scene = Scene::with(shop()).await;
    let (client, impatient) = (scene.client(2), impatient(&scene.line, 2));
    let faults = [
        (Fault::after_rows(7, Harm::Close), "SqlServerCut"),
        (Fault::after_rows(0, Harm::Reset), "SqlServerCut"),
        (Fault::after_bytes(300, Harm::Close), "SqlServerCut"),
        (Fault::after_rows(5, Harm::Stall), "SqlServerTimeout"),
        (Fault::after_rows(3, Harm::Error(ServerError::deadlock())), "SqlServerDeadlock"),
    ];
    for (fault, code) in faults {
        scene.line.fault(Stage::request("cdc-to-s3: changes"), fault.clone());
        let error = changes(&impatient, range(101, 110), Images::After).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Transient, code), "{fault:?}");
        let (found, _) = changes(&client, range(101, 110), Images::After).await.unwrap();
        assert_eq!(found.len(), 18, "after {fault:?}");
    }
}

#[tokio::test]
async fn a_large_transaction_streams() {
    let scene = Scene::with(shop()).await;
    scene.change(|contents| {
        let instance = &mut contents.tables[0].instances[0];
        let Changes::Listed(listed) = &instance.changes else { unreachable!() };
        let mut template = listed.first().cloned().unwrap();
        (template.start_lsn, template.operation) = (lsn(105), 2);
        instance.changes = Changes::Repeated(template.into(), 30_001);
    });
    let (found, batches) = changes(&scene.client(8192), range(101, 110), Images::After).await.unwrap();
    assert_eq!(batches, [8192, 8192, 8192, 5425]);
    assert!(found.iter().all(|change| change == "105 2 2 101 1010005 after"), "{:?}", found.first());
}
