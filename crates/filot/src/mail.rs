//! Mail: what is sent to an address that somebody has registered with. It is written down in the outbox together with the
//! registration, and carried out from there until it succeeds or the registration has expired.

use std::time::{Duration, Instant};

use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use crate::app::App;
use crate::auth::confirmation;
use crate::config::{Service, exposed};
use crate::store::{self, Effect, EffectKind, Registration, keeps_address};

/// Mails taken at a time, and how long they may take together before another process may try.
const BATCH: u32 = 10;
const LEASE: Duration = Duration::from_secs(300);
/// Between two looks for registrations that have expired.
const FORGET_INTERVAL: Duration = Duration::from_secs(600);
/// How long the mail server may take for one command.
const TIMEOUT: Duration = Duration::from_secs(10);
/// First and longest wait before another try; it doubles each time.
const RETRY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(600));

/// Why there is no mailer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("mail.smtp_url names no mail server that can be used")]
    Server(#[source] smtp::Error),
    #[error("mail.from is no address")]
    Sender,
}

/// Why a mail was not sent.
enum Failure {
    /// Trying again may help.
    Passing(&'static str),
    /// It will never be sent.
    Final(&'static str),
    Store(store::Error),
}

/// Sends mail by SMTP.
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// The mailer of the configuration, if it names a mail server.
    ///
    /// # Errors
    /// When server or sender cannot be used.
    pub fn new(config: &Service) -> Result<Option<Self>, Error> {
        let Some(url) = exposed(&config.mail.smtp_url) else { return Ok(None) };
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(Error::Server)?;
        let from = config.mail.from.as_deref().unwrap_or_default().parse().map_err(|_| Error::Sender)?;
        Ok(Some(Self { transport: transport.timeout(Some(TIMEOUT)).build(), from }))
    }

    async fn send(&self, to: &str, subject: &str, text: String) -> Result<(), Failure> {
        let to = to.parse().map_err(|_| Failure::Final("the address cannot be written to"))?;
        let mail = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(subject)
            .header(ContentType::TEXT_PLAIN)
            .body(text)
            .map_err(|_| Failure::Final("the mail cannot be written"))?;
        match self.transport.send(mail).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => Err(Failure::Final("the mail server refuses it for good")),
            Err(error) if error.is_timeout() => Err(Failure::Passing("the mail server does not answer")),
            Err(_) => Err(Failure::Passing("the mail server cannot be reached, or refuses for now")),
        }
    }
}

/// Sends what is due until `stop`.
pub(crate) async fn run(app: &App, stop: &CancellationToken) {
    let every = Duration::from_millis(app.config.service.worker.reaper_interval_ms);
    // Dropped in the middle of a mail, it is sent again when its lease ends.
    stop.run_until_cancelled(async {
        let mut forgotten: Option<Instant> = None;
        loop {
            send_due(app).await;
            if forgotten.is_none_or(|at| at.elapsed() > FORGET_INTERVAL) {
                forgotten = Some(Instant::now());
                if let Err(error) = app.store.forget_registrations().await {
                    warn!(%error, "registrations that nobody confirmed are not forgotten yet");
                }
            }
            tokio::time::sleep(every).await;
        }
    })
    .await;
}

/// One round: every mail that is due.
pub async fn send_due(app: &App) {
    let Some(mailer) = &app.mailer else { return };
    let due = match app.store.claim_effects(EffectKind::Mail, BATCH, LEASE).await {
        Ok(due) => due,
        Err(error) => return warn!(%error, "cannot look for mails to send"),
    };
    for effect in due {
        let settled = match carry_out(app, mailer, &effect).await {
            Ok(()) => app.store.effect_done(effect.id).await,
            Err(Failure::Final(why)) => {
                warn!(registration = effect.subject, why, "a mail is not sent");
                app.store.effect_done(effect.id).await
            }
            Err(Failure::Passing(why)) => {
                warn!(
                    registration = effect.subject,
                    why,
                    attempts = effect.attempts,
                    "a mail is not sent yet"
                );
                let wait = RETRY.0.saturating_mul(1 << effect.attempts.clamp(1, 20).saturating_sub(1));
                app.store.effect_failed(effect.id, why, wait.min(RETRY.1)).await
            }
            Err(Failure::Store(error)) => Err(error),
        };
        if let Err(error) = settled {
            warn!(%error, "a mail was not settled and comes again");
        }
    }
}

async fn carry_out(app: &App, mailer: &Mailer, effect: &Effect) -> Result<(), Failure> {
    let id: Uuid = effect.subject.parse().map_err(|_| Failure::Final("it is about nothing"))?;
    let registration = app.store.registration(id).await.map_err(Failure::Store)?;
    let registration = registration.ok_or(Failure::Final("its registration has expired or is confirmed"))?;
    let holder = app.store.user_by_email(&registration.email).await.map_err(Failure::Store)?;
    let (subject, text) = match holder {
        Some(user) if keeps_address(&user) => (HAS_ACCOUNT, has_account(&app.config.service)),
        _ => (CONFIRM, confirm(app, &registration)),
    };
    mailer.send(&registration.email, subject, text).await?;
    info!(registration = %id, "a mail was sent");
    Ok(())
}

const CONFIRM: &str = "Konfirmasi alamat surel Anda / Confirm your e-mail address";
const HAS_ACCOUNT: &str = "Anda sudah memiliki akun / You have an account already";

fn confirm(app: &App, registration: &Registration) -> String {
    let token = confirmation(&app.keys, registration.id);
    let link = format!("{}/#confirm={token}", app.config.service.public_url());
    format!(
        "Seseorang, semoga Anda sendiri, mendaftar dengan alamat surel ini. Untuk membuat akun, buka tautan berikut dan\n\
         ketik kata sandi yang Anda pilih saat mendaftar. Tautan ini berlaku 24 jam. Bila bukan Anda, abaikan surel ini:\n\
         tanpa kata sandi itu tidak terjadi apa-apa.\n\n\
         Somebody, hopefully you, has registered with this e-mail address. To make the account, open this link and type\n\
         the password that you chose when you registered. The link works for 24 hours. If it was not you, ignore this\n\
         mail: without that password nothing happens.\n\n\
         {link}\n\n\
         Kode untuk aplikasi / Code for apps: {token}\n"
    )
}

fn has_account(config: &Service) -> String {
    let url = config.public_url();
    format!(
        "Seseorang, semoga Anda sendiri, mendaftar dengan alamat surel ini, tetapi alamat ini sudah memiliki akun. Masuklah\n\
         dengan kata sandi Anda. Bila bukan Anda, abaikan surel ini: tidak ada yang berubah.\n\n\
         Somebody, hopefully you, has registered with this e-mail address, but it has an account already. Sign in with your\n\
         password. If it was not you, ignore this mail: nothing has changed.\n\n\
         {url}/\n"
    )
}
