//! The real router behind a real socket, and a client for it.

use std::net::SocketAddr;

use bytes::Bytes;
use filot::app::App;
use filot::http::Api;
use reqwest::{Method, RequestBuilder, Response, multipart};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::{Deployment, TestApp};

/// The password of every test account.
pub(crate) const PASSWORD: &str = "a long enough one";

/// A running service. It ends with the test's runtime.
pub(crate) struct Server {
    pub(crate) inner: TestApp,
    pub(crate) address: SocketAddr,
    http: reqwest::Client,
}

/// Someone who is signed in.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) email: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self { status, headers, body }
    }

    /// The body of a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.body
    }

    /// Checks that it is this error, in the form that every error has.
    #[track_caller]
    pub(crate) fn is(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["requestId"], self.header("x-request-id"));
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Server {
    pub(crate) async fn start(deployment: Deployment) -> (Self, Deployment) {
        let deployment = generous(deployment);
        let server = Self::on(deployment.app().await).await;
        (server, deployment)
    }

    pub(crate) async fn on(app: App) -> Self {
        let inner = TestApp::on(app).await;
        let api = Api::new(inner.app.clone(), None, CancellationToken::new()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = api.router().into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { inner, address, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://{}{path}", self.address))
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        Answer::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, who: &Person, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).bearer_auth(&who.access)).await
    }

    pub(crate) async fn post(&self, path: &str, token: Option<&str>, body: Value) -> Answer {
        let mut request = self.request(Method::POST, path).json(&body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        self.send(request).await
    }

    pub(crate) async fn person(&self) -> Person {
        let email = format!("{}@example.com", uuid::Uuid::now_v7());
        let answer = self.post("/auth/register", None, json!({ "email": email, "password": PASSWORD })).await;
        Person::of(&answer.ok())
    }

    pub(crate) fn upload_request(&self, who: &Person, bytes: &Bytes) -> RequestBuilder {
        self.request(Method::POST, "/documents/upload").bearer_auth(&who.access).multipart(form(bytes, "KTP"))
    }

    pub(crate) async fn upload(&self, who: &Person, bytes: &Bytes) -> Answer {
        self.send(self.upload_request(who, bytes)).await
    }
}

impl Person {
    pub(crate) fn of(signed_in: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            email: text(&signed_in["user"]["email"]),
            access: text(&signed_in["accessToken"]),
            refresh: text(&signed_in["refreshToken"]),
        }
    }
}

pub(crate) fn form(bytes: &Bytes, card_type: &str) -> multipart::Form {
    let file = multipart::Part::stream(bytes.clone()).file_name("card.png").mime_str("image/png").unwrap();
    multipart::Form::new().text("type", card_type.to_owned()).part("file", file)
}

/// No limit of requests, which only its own test wants.
pub(crate) fn generous(deployment: Deployment) -> Deployment {
    deployment
        .with("FILOT_SERVER_REQUESTS_PER_MINUTE", "1000000")
        .with("FILOT_SERVER_UPLOADS_PER_MINUTE", "1000000")
}
