//! The desk behind a real socket, and officers who can sign in to it.

use std::net::SocketAddr;

use bytes::Bytes;
use filot::app::App;
use filot::auth::Auth;
use filot::card_reader::CardReader;
use filot::clock::Clock;
use filot::document::{CardType, DocumentId, ReviewId};
use filot::http::Api;
use filot::intake::{self, Upload};
use filot::store::{Actor, Role};
use jiff::{SignedDuration, Timestamp};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use totp_rs::{Builder, Secret};

use super::{Deployment, TestApp};
use crate::http::server::{PASSWORD, generous};

/// A running desk at a standing clock.
pub(crate) struct Desk {
    pub(crate) it: TestApp,
    pub(crate) base: String,
    pub(crate) clock: Clock,
    pub(crate) deployment: Deployment,
}

/// Somebody who can sign in.
pub(crate) struct Staff {
    pub(crate) email: String,
    pub(crate) name: &'static str,
    /// As the enrolment page spells it, once they have set up their codes.
    pub(crate) secret: Option<String>,
}

impl Staff {
    /// The code of this moment.
    pub(crate) fn code(&self, clock: &Clock) -> String {
        let secret = self.secret.as_ref().expect("enrolled").replace(' ', "");
        let secret = Secret::try_from_base32(secret).unwrap();
        let codes =
            Builder::new().with_secret(secret).with_digits(6).with_step_duration(30).build_noncompliant();
        codes.generate(clock.now().as_second() as u64).to_string()
    }
}

impl Desk {
    /// With the reader that documents of [`super::desk`] need, or with a real one where `app` makes it.
    pub(crate) async fn start() -> Self {
        Self::start_on(Deployment::embedded()).await
    }

    pub(crate) async fn start_on(deployment: Deployment) -> Self {
        Self::reading(deployment, super::desk::assessed()).await
    }

    /// With cards that nothing stands against, which one officer may approve.
    pub(crate) async fn sound() -> Self {
        Self::reading(Deployment::embedded(), super::desk::reporting(super::desk::sound())).await
    }

    async fn reading(deployment: Deployment, reader: CardReader) -> Self {
        let deployment =
            generous(deployment).with("FILOT_DESK_SECOND_LOOK_SHARE", "0").with("FILOT_DESK_UNDO_S", "60");
        let clock = Clock::by_hand(Timestamp::now());
        let app = deployment.app_with(reader, clock).await;
        Self::on(app, clock, deployment).await
    }

    /// With real networks, for drawn cards.
    pub(crate) async fn with_networks() -> Self {
        let deployment = generous(Deployment::embedded())
            .with("FILOT_DESK_SECOND_LOOK_SHARE", "0")
            .with("FILOT_DESK_UNDO_S", "60");
        let mut config = deployment.config();
        config.reader.models = Some(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models"));
        let reader = filot::reader::Reader::load(&config, 1).expect("`make models` fetches the networks");
        let clock = Clock::by_hand(Timestamp::now());
        let app = App::with_reader(config, reader.into(), clock).await.unwrap();
        Self::on(app, clock, deployment).await
    }

    async fn on(app: App, clock: Clock, deployment: Deployment) -> Self {
        let mut it = TestApp::on(app).await;
        it.work();
        let api = Api::new(it.app.clone(), None, CancellationToken::new()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let service = api.router().into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { it, base, clock, deployment }
    }

    pub(crate) async fn staff(&self, name: &'static str, role: Role) -> Staff {
        let email = format!("{}@example.com", uuid::Uuid::now_v7());
        let auth = Auth::new(self.it.app.clone()).unwrap();
        auth.create(&email, PASSWORD, Some(name.to_owned()), role, None).await.unwrap();
        Staff { email, name, secret: None }
    }

    /// The path of a link by which somebody sets up password and codes.
    pub(crate) async fn invite(&self, staff: &Staff) -> String {
        let user = self.it.app.store.user_by_email(&staff.email).await.unwrap().unwrap();
        let link = Auth::new(self.it.app.clone()).unwrap().enrolment_link(user.id).await.unwrap();
        link[link.find("/console/enrol/").unwrap()..].to_owned()
    }

    /// The next codes are other ones, and what could be undone has taken effect.
    pub(crate) fn later(&self) {
        self.clock.advance(SignedDuration::from_secs(61));
    }

    /// A photo that waits for an officer.
    pub(crate) async fn waiting(&self, photo: Vec<u8>) -> (DocumentId, ReviewId) {
        let upload = Upload {
            user: self.it.user,
            card_type: CardType::Ktp,
            media_type: Some("image/jpeg".into()),
            bytes: Bytes::from(photo),
            idempotency: None,
        };
        let id = intake::submit(&self.it.app, upload).await.unwrap().id;
        let patience = std::time::Duration::from_secs(120);
        let done = self.it.app.changes.wait_terminal(&self.it.app.store, id, patience).await.unwrap();
        assert!(done.is_terminal(), "{} is {}", id, done.status);
        let store = &self.it.app.store;
        let review = match store.review_of_document(id).await.unwrap() {
            Some(review) => review,
            None => store.escalate(id, &Actor::System).await.unwrap(),
        };
        (id, review.id)
    }
}
