//! The keys of this installation: given by the configuration, or made at first start and kept in the data folder.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use aws_lc_rs::{hkdf, hmac, rand};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};

use crate::config::service::Environment;
use crate::config::{Process, Service, exposed};

/// The file of the key that others are derived from.
const MASTER: &str = "master.key";

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read or make the key file {path}")]
    File { path: PathBuf, source: io::Error },
    #[error("the key file {0} is damaged; restore it from a backup, or data under its keys stays unreadable")]
    Damaged(PathBuf),
    #[error("the system gave no random bytes")]
    Random,
    #[error("no signing key can be made of audit.signing_key; set another")]
    Signing,
}

/// Keys by purpose. A clone is cheap enough and shares nothing mutable.
#[derive(Clone)]
pub struct Keys {
    /// Signs access tokens (HS256).
    pub jwt: SecretString,
    /// What `/internal/*` asks for.
    pub service_internal: SecretString,
    link: hmac::Key,
    seal: [u8; 32],
    /// `None` where others are given the keys that open what is sealed.
    check: Option<hmac::Key>,
    signing: Arc<Ed25519KeyPair>,
}

impl Keys {
    /// Takes the secrets of the configuration, and derives those it does not give from `DATA_DIR/master.key`, which is
    /// made when it is not there (readable by the owner only). A worker of a deployment is not given those of the API's
    /// doors: in their place it draws some that nobody else has, and that open nothing.
    ///
    /// # Errors
    /// When the file cannot be read or made. It is not touched when the configuration gives all secrets.
    pub fn load(config: &Service) -> Result<Self, Error> {
        let a = &config.auth;
        let given = (exposed(&a.jwt_secret), exposed(&a.session_secret), exposed(&a.service_internal_key));
        let given_by_others = config.process != Process::Api
            && config.server.environment != Environment::Development
            && !config.server.data_dir.join(MASTER).exists();
        let master = match given {
            (Some(_), Some(_), Some(_)) => None,
            _ if given_by_others => Some(random_bytes::<32>()?.to_vec()),
            _ => Some(master(&config.server.data_dir)?),
        };
        let derived =
            |purpose: &str| BASE64_URL_SAFE_NO_PAD.encode(derive(master.as_deref().unwrap_or(&[]), purpose));
        let session = given.1.map_or_else(|| derived("session"), str::to_owned);
        let signing = exposed(&config.audit.signing_key).unwrap_or(&session);
        let signing = Ed25519KeyPair::from_seed_unchecked(&derive(signing.as_bytes(), "audit-signing"))
            .map_err(|_| Error::Signing)?;
        Ok(Self {
            jwt: given.0.map_or_else(|| derived("jwt"), str::to_owned).into(),
            service_internal: given.2.map_or_else(|| derived("service-internal"), str::to_owned).into(),
            link: hmac::Key::new(hmac::HMAC_SHA256, &derive(session.as_bytes(), "link")),
            seal: derive(session.as_bytes(), "seal"),
            check: (given.1.is_some() || !given_by_others)
                .then(|| hmac::Key::new(hmac::HMAC_SHA256, &derive(session.as_bytes(), "check"))),
            signing: Arc::new(signing),
        })
    }

    /// What the keys that seal answer for an installation: the same for as long as what they sealed can be opened. `None`
    /// for a process that is given others.
    pub fn check(&self, installation: uuid::Uuid) -> Option<String> {
        let key = self.check.as_ref()?;
        Some(BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(key, installation.as_bytes())))
    }

    /// HMAC-SHA256 over the parts of a link. The parts are length-prefixed: no two lists share a signature.
    pub fn sign_link(&self, parts: &[&str]) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&self.link, &framed(parts)))
    }

    /// Whether `signature` is [`Keys::sign_link`] of `parts`, in constant time.
    pub fn verify_link(&self, parts: &[&str], signature: &str) -> bool {
        BASE64_URL_SAFE_NO_PAD
            .decode(signature)
            .is_ok_and(|bytes| hmac::verify(&self.link, &framed(parts), &bytes).is_ok())
    }

    /// Encrypts `plain` (AES-256-GCM, random nonce in front) bound to `context`.
    ///
    /// # Errors
    /// Only when the system gives no random bytes.
    pub fn seal(&self, plain: &[u8], context: &[&str]) -> Result<Vec<u8>, Error> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, &self.seal).map_err(|_| Error::Random)?;
        let mut sealed = plain.to_vec();
        let nonce = key
            .seal_in_place_append_tag(Aad::from(framed(context)), &mut sealed)
            .map_err(|_| Error::Random)?;
        let mut out = nonce.as_ref().to_vec();
        out.append(&mut sealed);
        Ok(out)
    }

    /// Decrypts what [`Keys::seal`] made for the same `context`; `None` for anything else.
    pub fn open(&self, sealed: &[u8], context: &[&str]) -> Option<Vec<u8>> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN)?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, &self.seal).ok()?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut body = body.to_vec();
        let plain = key.open_in_place(nonce, Aad::from(framed(context)), &mut body).ok()?;
        Some(plain.to_vec())
    }

    /// Signs `message` so that others can check it with [`Keys::public_key`] (Ed25519, URL-safe base64).
    pub fn sign(&self, message: &[u8]) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.signing.sign(message))
    }

    /// The public key of [`Keys::sign`] (URL-safe base64).
    pub fn public_key(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.signing.public_key())
    }

    /// Whether `given` is the key of `/internal/*`, in constant time.
    pub fn is_service_key(&self, given: &str) -> bool {
        // Compared as digests, so that the length shows as little as the content.
        let digest = |text: &str| hmac::sign(&self.link, text.as_bytes());
        let own = digest(self.service_internal.expose_secret());
        aws_lc_rs::constant_time::verify_slices_are_equal(own.as_ref(), digest(given).as_ref()).is_ok()
    }
}

/// `count` random bytes as URL-safe text.
///
/// # Errors
/// When the system gives no random bytes.
pub fn random_token(count: usize) -> Result<String, Error> {
    let mut bytes = vec![0; count];
    rand::fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// `N` random bytes.
///
/// # Errors
/// When the system gives no random bytes.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(bytes)
}

/// Whether `signature` is that of `message` by the owner of `public_key`, as [`Keys::sign`] makes them.
pub fn is_signed(public_key: &str, message: &[u8], signature: &str) -> bool {
    let decoded = (BASE64_URL_SAFE_NO_PAD.decode(public_key), BASE64_URL_SAFE_NO_PAD.decode(signature));
    let (Ok(key), Ok(signature)) = decoded else { return false };
    UnparsedPublicKey::new(&ED25519, key).verify(message, &signature).is_ok()
}

/// Bytes as lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 as lower-case hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref())
}

/// The parts, each behind its length: no two lists have the same bytes.
pub(crate) fn framed(parts: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        out.extend_from_slice(&(part.len() as u64).to_be_bytes());
        out.extend_from_slice(part.as_bytes());
    }
    out
}

fn derive(secret: &[u8], purpose: &str) -> [u8; 32] {
    let mut out = [0; 32];
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"filot").extract(secret);
    let info = [purpose.as_bytes()];
    let filled = prk.expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut out));
    debug_assert!(filled.is_ok(), "HKDF-SHA256 gives up to 8160 bytes, 32 are asked for");
    out
}

/// Makes a folder that is nobody else's to look into: photos, database and keys lie in it. One that is there already and
/// that others may look into is closed to them.
///
/// # Errors
/// When it cannot be made or closed, or is plainly no folder of FiLot's own.
pub(crate) fn private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)?;
    #[cfg(unix)]
    close_to_others(folder)?;
    Ok(())
}

/// What lies in a data folder and nowhere else.
const OWN_NAMES: &[&str] = &["master.key", "filot.db", "files", crate::blobs::MARK];

#[cfg(unix)]
fn close_to_others(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let about = std::fs::metadata(folder)?;
    if about.mode() & 0o077 == 0 {
        return Ok(());
    }
    let refuse = |why: &str| {
        let what = format!("{} {why}; name a folder of its own (FILOT_DATA_DIR)", folder.display());
        Err(io::Error::new(io::ErrorKind::PermissionDenied, what))
    };
    if about.uid() != nix::unistd::geteuid().as_raw() {
        // A volume that belongs to root and to a group of this process is how containers give one.
        return if about.mode() & 0o007 == 0 {
            Ok(())
        } else {
            refuse("belongs to somebody else and is open to all")
        };
    }
    let in_use_otherwise = !OWN_NAMES.iter().any(|name| folder.join(name).exists())
        && std::fs::read_dir(folder)?.next().is_some()
        && folder.file_name().is_none_or(|name| name != "files");
    if in_use_otherwise {
        return refuse("is open to others and holds other things than FiLot's");
    }
    only_for_owner(folder, 0o700)
}

/// Takes from everybody but the owner all rights to a file or folder.
#[cfg(unix)]
pub(crate) fn only_for_owner(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    if std::fs::metadata(path)?.mode() & 0o077 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// From now on, files that this process makes are readable by its own user only.
pub(crate) fn make_files_private() {
    #[cfg(unix)]
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
}

/// Reads the master key, or makes it.
fn master(data_dir: &Path) -> Result<Vec<u8>, Error> {
    let path = data_dir.join(MASTER);
    let failed = |source| Error::File { path: path.clone(), source };
    private_folder(data_dir).map_err(failed)?;
    if !path.exists() {
        make(&path).map_err(|error| match error {
            Make::Io(source) => failed(source),
            Make::Random => Error::Random,
        })?;
    }
    let text = std::fs::read_to_string(&path).map_err(failed)?;
    let key = BASE64_URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| Error::Damaged(path.clone()))?;
    if key.len() == 32 { Ok(key) } else { Err(Error::Damaged(path)) }
}

enum Make {
    Io(io::Error),
    Random,
}

impl From<io::Error> for Make {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Writes a new key beside `path` and links it into place: of two processes that start at once one wins, and a crash
/// leaves no half-written key.
fn make(path: &Path) -> Result<(), Make> {
    let token = random_token(32).map_err(|_| Make::Random)?;
    let draft = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedded(dir: &Path) -> Keys {
        let mut config = crate::config::Config::load(None).unwrap().service;
        config.server.data_dir = dir.to_owned();
        Keys::load(&config).unwrap()
    }

    #[test]
    fn keys_are_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (embedded(dir.path()), embedded(dir.path()));
        assert_eq!(first.jwt.expose_secret(), second.jwt.expose_secret());
        assert!(second.is_service_key(first.service_internal.expose_secret()));
        assert!(!second.is_service_key(first.jwt.expose_secret()));
        let other = tempfile::tempdir().unwrap();
        assert_ne!(first.jwt.expose_secret(), embedded(other.path()).jwt.expose_secret());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(dir.path().join("master.key")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let new = dir.path().join("new");
            embedded(&new);
            assert_eq!(std::fs::metadata(&new).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn a_worker_of_a_deployment_makes_no_key_file_and_has_keys_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let vars = [("NODE_ENV", "production"), ("SESSION_SECRET", "Zp3oRi8eWq1xVm6tYb4cNk7dUa2sJh5g")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut config =
            crate::config::Config::from_parts_for("", &vars, crate::config::Process::Worker).unwrap().service;
        config.server.data_dir = dir.path().to_owned();
        let (one, other) = (Keys::load(&config).unwrap(), Keys::load(&config).unwrap());
        assert!(!dir.path().join(MASTER).exists());
        assert_ne!(one.jwt.expose_secret(), other.jwt.expose_secret());
        assert!(other.verify_link(&["a"], &one.sign_link(&["a"])), "links are made with the session secret");
    }

    #[test]
    fn a_damaged_key_file_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("master.key"), "half").unwrap();
        let mut config = crate::config::Config::load(None).unwrap().service;
        config.server.data_dir = dir.path().to_owned();
        assert!(matches!(Keys::load(&config), Err(Error::Damaged(_))));
        assert_eq!(std::fs::read_to_string(dir.path().join("master.key")).unwrap(), "half");
    }

    #[test]
    fn a_signature_fits_its_own_parts_only() {
        let dir = tempfile::tempdir().unwrap();
        let keys = embedded(dir.path());
        let signature = keys.sign_link(&["a", "bc"]);
        assert!(keys.verify_link(&["a", "bc"], &signature));
        assert!(!keys.verify_link(&["ab", "c"], &signature));
        assert!(!keys.verify_link(&["a", "bc"], &signature[1..]));
        assert!(!keys.verify_link(&["a", "bc"], ""));
    }

    #[test]
    fn what_is_sealed_opens_in_its_own_context_only() {
        let dir = tempfile::tempdir().unwrap();
        let keys = embedded(dir.path());
        let sealed = keys.seal(b"body", &["user", "route"]).unwrap();
        assert_eq!(keys.open(&sealed, &["user", "route"]).unwrap(), b"body");
        assert_ne!(sealed, keys.seal(b"body", &["user", "route"]).unwrap());
        assert!(keys.open(&sealed, &["user", "other"]).is_none());
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert!(keys.open(&flipped, &["user", "route"]).is_none());
        }
        assert!(keys.open(b"", &[]).is_none());
    }
}
