//! What the file store promises, in a folder and on S3; and what its links refuse.

use std::time::Duration;

use bytes::Bytes;
use filot::app::App;
use filot::blobs::{Blobs, Error, Holder, LinkError, LinkQuery, Listed};
use filot::clock::Clock;
use filot::document::{CardType, Document, DocumentId, UserId};
use futures_util::TryStreamExt;
use jiff::SignedDuration;
use url::Url;

use crate::support::Deployment;
use crate::support::app::{make_user, upload};
use crate::support::cards::{Script, card, scripted};
use crate::support::s3::S3;

async fn on_s3() -> Deployment {
    Deployment { s3: Some(S3::start().await), ..Deployment::embedded() }
}

macro_rules! contract {
    ($($name:ident)+) => {
        mod folder {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&super::Deployment::embedded().app().await).await;
            })+
        }
        mod s3 {
            $(#[tokio::test]
            async fn $name() {
                // The server lives in the deployment.
                let deployment = super::on_s3().await;
                super::$name(&deployment.app().await).await;
            })+
        }
    };
}

contract! {
    what_is_put_in_comes_out
    erasing_may_run_twice
    old_files_are_listed
}

async fn what_is_put_in_comes_out(app: &App) {
    for size in [0, 1, 4096, 3_000_000] {
        let bytes: Bytes = (0..size).map(|n| (n % 251) as u8).collect();
        app.blobs.put("user/KTP_1.png", bytes.clone(), "image/png").await.unwrap();
        assert_eq!(app.blobs.get("user/KTP_1.png").await.unwrap(), bytes);
    }
    assert!(matches!(app.blobs.get("user/KTP_2.png").await, Err(Error::NotFound)));
    app.blobs.ping().await.unwrap();
}

async fn erasing_may_run_twice(app: &App) {
    app.blobs.put("user/KTP_1.png", "x".into(), "image/png").await.unwrap();
    app.blobs.erase("user/KTP_1.png").await.unwrap();
    assert!(matches!(app.blobs.get("user/KTP_1.png").await, Err(Error::NotFound)));
    app.blobs.erase("user/KTP_1.png").await.unwrap();
}

async fn old_files_are_listed(app: &App) {
    let users = [UserId::new(), UserId::new(), UserId::new()];
    let key = |n: usize| Blobs::key(users[n % 3], CardType::Ktp, DocumentId::new(), "image/png");
    let mut keys: Vec<String> = (0..12).map(key).collect();
    let foreign = ["exports/report.csv".to_owned(), keys[0].to_uppercase(), format!("{}.bak", keys[1])];
    for key in keys.iter().chain(&foreign) {
        app.blobs.put(key, "x".into(), "image/png").await.unwrap();
    }
    keys.sort();
    let now = app.clock.now();
    let hour = SignedDuration::from_hours(1);
    let list = async |before| app.blobs.older_than(before).try_collect::<Vec<_>>().await.unwrap();
    assert!(list(now - hour).await.is_empty());
    let mut all = list(now + hour).await;
    all.sort();
    assert_eq!(all, keys);
    let everything: Vec<Listed> = app.blobs.list(now + hour).try_collect().await.unwrap();
    let others = everything.iter().filter(|listed| **listed == Listed::Foreign).count();
    assert_eq!(
        (everything.len(), others),
        (keys.len() + foreign.len(), foreign.len()),
        "the mark is neither"
    );
}

async fn stored(app: &App) -> Document {
    let user = make_user(app).await;
    filot::intake::submit(app, upload(user, card(1, Script::Approve, 0))).await.unwrap()
}

#[tokio::test]
async fn fragments_of_interrupted_uploads_are_erased() {
    let deployment = Deployment::embedded();
    let app = deployment.app().await;
    let user = UserId::new();
    let files = deployment.data_dir().join(format!("files/{user}"));
    std::fs::create_dir_all(&files).unwrap();
    let name = || {
        let key = Blobs::key(user, CardType::Ktp, DocumentId::new(), "image/png");
        key.split_once('/').unwrap().1.to_owned()
    };
    let stay =
        [name(), "KTP_4#x.png".into(), "notes#1".into(), format!("{}#", name()), format!("{}#1a", name())];
    let go = [format!("{}#1", name()), format!("{}#23", name())];
    for name in stay.iter().chain(&go) {
        std::fs::write(files.join(name), "x").unwrap();
    }
    let hour = SignedDuration::from_hours(1);
    assert_eq!(app.blobs.erase_fragments(app.clock.now() - hour).await.unwrap(), 0);
    assert_eq!(app.blobs.erase_fragments(app.clock.now() + hour).await.unwrap(), 2);
    assert!(stay.iter().all(|name| files.join(name).exists()), "others' files");
}

#[tokio::test]
async fn links_on_s3_open_one_file_until_they_expire() {
    let deployment = on_s3().await;
    let app = deployment.app().await;
    let (document, other) = (stored(&app).await, stored(&app).await);
    let fetch = async |url: &str| {
        let answer = reqwest::get(url).await.unwrap();
        (answer.status().as_u16(), answer.headers().clone(), answer.bytes().await.unwrap())
    };
    let link = app.blobs.link(&document, holder(&document), Duration::from_secs(60)).await.unwrap();
    let (status, headers, body) = fetch(&link).await;
    assert_eq!((status, body), (200, card(1, Script::Approve, 0)));
    let disposition = headers["content-disposition"].to_str().unwrap();
    assert!(disposition.starts_with("attachment") && disposition.contains(".png"), "{disposition}");

    // Another file, another user's folder, a longer life, another disposition, no signature.
    let forged = [
        link.replace(&document.blob_key, &other.blob_key),
        link.replace(&document.user_id.to_string(), &other.user_id.to_string()),
        link.replace("X-Amz-Expires=60", "X-Amz-Expires=6000"),
        link.replace("attachment", "inline"),
        link.split("&X-Amz-Signature").next().unwrap().to_owned(),
        link.split('?').next().unwrap().to_owned(),
        format!("{}0", &link[..link.len() - 1]).replace("0000", "1111"),
    ];
    for url in forged.iter().filter(|url| **url != link) {
        assert_ne!(fetch(url).await.0, 200, "{url}");
    }
    // Signed by whole seconds and on the wall clock: a life of one second may be over at birth.
    let short = app.blobs.link(&document, holder(&document), Duration::from_secs(8)).await.unwrap();
    let made = std::time::Instant::now();
    assert_eq!(fetch(&short).await.0, 200);
    while fetch(&short).await.0 == 200 {
        assert!(made.elapsed() < Duration::from_secs(20), "still open");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

const SESSION: uuid::Uuid = uuid::Uuid::max();

fn holder(document: &Document) -> Holder {
    Holder { user: document.user_id, session: Some(uuid::Uuid::now_v7()) }
}

fn query_of(link: &str) -> LinkQuery {
    let url = Url::parse(link).unwrap();
    let get = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    LinkQuery {
        holder: Holder { user: get("user").parse().unwrap(), session: Some(get("session").parse().unwrap()) },
        expires: get("expires").parse().unwrap(),
        signature: get("signature"),
    }
}

#[tokio::test]
async fn own_links_open_one_file_until_they_expire() {
    let clock = Clock::by_hand(Clock::default().now());
    let deployment = Deployment::embedded();
    let app = deployment.app_with(scripted(), clock).await;
    let (document, other) = (stored(&app).await, stored(&app).await);
    let link = app.blobs.link(&document, holder(&document), Duration::from_secs(60)).await.unwrap();
    assert!(link.starts_with(&format!("http://127.0.0.1:8080/files/{}?", document.id)), "{link}");
    let query = query_of(&link);
    app.blobs.check_link(document.id, &query).unwrap();

    let refused = |id, query: &LinkQuery| app.blobs.check_link(id, query).unwrap_err();
    assert_eq!(refused(other.id, &query), LinkError::Invalid);
    for holder in [
        Holder { user: UserId::new(), ..query.holder },
        Holder { session: Some(SESSION), ..query.holder },
        Holder { session: None, ..query.holder },
    ] {
        assert_eq!(refused(document.id, &LinkQuery { holder, ..query.clone() }), LinkError::Invalid);
    }
    let longer = LinkQuery { expires: query.expires + 1, ..query.clone() };
    assert_eq!(refused(document.id, &longer), LinkError::Invalid);
    for at in 0..query.signature.len() {
        let mut signature = query.signature.clone().into_bytes();
        signature[at] = if signature[at] == b'A' { b'B' } else { b'A' };
        let signature = String::from_utf8(signature).unwrap();
        assert_eq!(refused(document.id, &LinkQuery { signature, ..query.clone() }), LinkError::Invalid);
    }
    for signature in [String::new(), "%".into(), query.signature[1..].to_owned()] {
        assert_eq!(refused(document.id, &LinkQuery { signature, ..query.clone() }), LinkError::Invalid);
    }
    // Keys of another installation.
    let elsewhere = Deployment::embedded().app().await;
    assert_eq!(elsewhere.blobs.check_link(document.id, &query), Err(LinkError::Invalid));

    clock.advance(SignedDuration::from_secs(59));
    app.blobs.check_link(document.id, &query).unwrap();
    clock.advance(SignedDuration::from_secs(1));
    assert_eq!(refused(document.id, &query), LinkError::Expired);
}
