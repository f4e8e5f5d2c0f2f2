//! `filot health`, which containers ask the service with.

use crate::program::{filot, finish};
use crate::support::serve::Serve;

#[tokio::test(flavor = "multi_thread")]
async fn health_asks_the_service_and_fails_when_nobody_answers() {
    let folder = tempfile::tempdir().unwrap();
    let http = reqwest::Client::new();
    let mut serve = Serve::start(&folder.path().join("data"), &http, &["--no-worker"], &[]).await;
    let port = serve.address.rsplit(':').next().unwrap().to_owned();
    // The address that a container listens on.
    let ask = |arguments: &[&str]| {
        let mut command = filot();
        command.env("HOST", "0.0.0.0").env("PORT", &port).args(arguments);
        finish(command, &[])
    };
    for arguments in [&["health"][..], &["health", "--ready"]] {
        let ended = ask(arguments);
        assert_eq!(ended.status, 0, "{}", ended.stderr);
        assert_eq!(ended.json()["ok"], true);
    }
    serve.kill();
    let ended = ask(&["health"]);
    assert_eq!(ended.status, 69);
    assert!(ended.stderr.contains("no answer"), "{}", ended.stderr);
}
