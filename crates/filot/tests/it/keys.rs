//! A database goes on with the keys that it was used with, or is not started: a lost `master.key` is not replaced silently,
//! and another installation's is not taken.

use filot::app::{self, App};
use filot::clock::Clock;
use filot::installation;

use crate::program::filot_on;
use crate::support::Deployment;
use crate::support::cards::scripted;

crate::support::on_sqlite_and_postgres! {
    other_keys_are_refused_until_they_are_adopted
}

async fn start(deployment: &Deployment) -> Result<App, app::Error> {
    App::with_reader(deployment.config(), scripted(), Clock::default()).await
}

async fn is_refused(deployment: &Deployment) -> bool {
    matches!(start(deployment).await, Err(app::Error::Installation(installation::Error::Keys { .. })))
}

async fn other_keys_are_refused_until_they_are_adopted(deployment: Deployment) {
    let key = deployment.data_dir().join("master.key");
    start(&deployment).await.unwrap().store.clone().close().await.unwrap();
    let first = std::fs::read(&key).unwrap();
    start(&deployment).await.unwrap().store.clone().close().await.unwrap();

    // Lost; then another installation's; doctor tells.
    std::fs::remove_file(&key).unwrap();
    assert!(is_refused(&deployment).await);
    let elsewhere = Deployment::embedded();
    start(&elsewhere).await.unwrap();
    std::fs::copy(elsewhere.data_dir().join("master.key"), &key).unwrap();
    assert!(is_refused(&deployment).await);
    let told = filot_on(Some(&deployment), &["doctor"]).stdout;
    assert!(told.contains("filot keys adopt"), "{told}");

    // The former one, or a secret of the configuration in its place.
    std::fs::write(&key, &first).unwrap();
    start(&deployment).await.unwrap().store.clone().close().await.unwrap();
    let deployment = deployment.with("SESSION_SECRET", "another secret of at least 32 letters");
    assert!(is_refused(&deployment).await);

    let adopted = filot_on(Some(&deployment), &["keys", "adopt"]);
    assert_eq!(adopted.status, 0, "{}", adopted.stderr);
    let app = start(&deployment).await.unwrap();
    let trail = app.store.audit_after(0, 100).await.unwrap();
    assert!(trail.iter().any(|entry| entry.action == "keys.adopt"), "{trail:?}");
}
