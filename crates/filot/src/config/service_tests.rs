use super::names::VARIABLES;
use super::service::{Create, Environment};
use super::*;

const STRONG: [(&str, &str); 3] = [
    ("JWT_SECRET", "kV7q0y2mBz5nXw8rTj1uLd4sHf6gAc9e"),
    ("SESSION_SECRET", "Zp3oRi8eWq1xVm6tYb4cNk7dUa2sJh5g"),
    ("SERVICE_INTERNAL_KEY", "t8Fj2Lw5Kq9Xr3Mz7Vb1Nc6Dy4Hs0Gp_"),
];

/// What production needs beside its secrets.
const DEPLOYED: [(&str, &str); 3] = [
    ("FILOT_PUBLIC_URL", "https://api.example.com"),
    ("FILOT_METRICS_TOKEN", "m3Gy7Rk0Wq9Xt5Zb2Vn8Lc4Dj6Hs1Fp_"),
    ("FILOT_AUDIT_CHECKPOINT_FILE", "/var/lib/checkpoints/filot.jsonl"),
];

/// Everything that production needs, with `more` over it.
fn production(more: &[(&str, &str)]) -> Result<Service, Problems> {
    let defaults = [("NODE_ENV", "production")].into_iter().chain(STRONG).chain(DEPLOYED);
    let mut vars: Vec<_> = defaults.filter(|(name, _)| more.iter().all(|(other, _)| other != name)).collect();
    vars.extend(more);
    with(&vars)
}

fn problems_of(more: &[(&str, &str)]) -> String {
    production(more).err().map(|Problems(problems)| problems.join("\n")).unwrap_or_default()
}

fn read(file: &str, vars: &[(&str, &str)]) -> Result<Service, Problems> {
    let vars: Vec<_> = vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Config::from_parts(file, &vars).map(|config| config.service)
}

fn with(vars: &[(&str, &str)]) -> Result<Service, Problems> {
    read("", vars)
}

#[test]
fn nothing_set_is_a_complete_embedded_configuration() {
    let config = with(&[]).unwrap();
    assert!(config.database.url.is_none() && config.redis.url.is_none() && config.storage.endpoint.is_none());
    assert_eq!(config.public_url(), "http://127.0.0.1:8080");
}

#[test]
fn every_named_variable_stands_behind_its_setting() {
    let defaults: toml::Table = DEFAULTS.parse().unwrap();
    for (name, section, key) in VARIABLES {
        assert!(defaults[*section].get(*key).is_some(), "{name} sets {section}.{key}, which does not exist");
        let named =
            |line: &&str| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|w| w == *name);
        let line = DEFAULTS.lines().filter(|line| !line.starts_with('#')).find(named);
        let line = line.unwrap_or_else(|| panic!("{name} is not in filot.toml"));
        assert!(line.starts_with(&format!("{key} = ")), "{name} stands on another line than {key}");
    }
}

#[test]
fn the_environment_wins_over_the_file() {
    let file = "[server]\nport = 9000\nhost = \"::1\"\n";
    let config = read(file, &[("FILOT_SERVER_PORT", "9001"), ("PORT", "9002")]).unwrap();
    assert_eq!((config.server.port, config.server.host.as_str()), (9002, "::1"));
}

#[test]
fn all_problems_are_reported_at_once() {
    let file = "[server]\nprot = 1\nport = \"x\"\n[sever]\n";
    let vars = [
        ("OCR_GPU_ENABLED", "perhaps"),
        ("REDIS_URL", "http://localhost"),
        ("CF_R2_ENDPOINT", "https://r2.example"),
        ("FILOT_WORKER_LEASE_S", "0"),
    ];
    let Problems(problems) = read(file, &vars).unwrap_err();
    let text = problems.join("\n");
    for part in [
        "there is no setting server.prot",
        "server.port must be a integer",
        "there is no section [sever]",
        "OCR_GPU_ENABLED must be true or false",
        "REDIS_URL must be an address",
        "CF_R2_BUCKET_NAME must be set",
        "CF_R2_ACCESS_KEY_ID must be set",
        "CF_R2_SECRET_ACCESS_KEY must be set",
        "worker.lease_s must lie",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    assert_eq!(problems.len(), 9);
}

#[test]
fn production_refuses_missing_weak_and_repeated_secrets() {
    let Problems(problems) = with(&[("NODE_ENV", "production")]).unwrap_err();
    assert_eq!(problems.len(), 5, "three secrets, metrics, checkpoints: {problems:?}");
    assert_eq!(problems_of(&[]), "");
    for weak in ["short", "changeme-changeme-changeme-changeme", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        assert!(problems_of(&[("JWT_SECRET", weak)]).contains("JWT_SECRET"), "{weak}");
    }
    let told = problems_of(&[("SESSION_SECRET", STRONG[0].1)]);
    assert!(told.starts_with("SESSION_SECRET must differ from JWT_SECRET"), "{told}");
}

#[test]
fn no_two_secrets_of_any_kind_are_the_same() {
    let one = "q7Vt2Kx9Lm4Wz1Rb8Yc5Nd3Hs6Jf0Gpe";
    let database = format!("postgres://filot:{one}@127.0.0.1/filot");
    let redis = format!("redis://:{one}@127.0.0.1:6379");
    let mail = format!("smtps://filot:{one}@mail.example");
    let vars = [
        ("FILOT_AUDIT_SIGNING_KEY", one),
        ("BULI2_API_URL", "https://buli2.example"),
        ("BULI2_API_KEY", one),
        ("BULI2_SIGNATURE_SECRET", one),
        ("CF_R2_ENDPOINT", "https://r2.example.com"),
        ("CF_R2_BUCKET_NAME", "filot"),
        ("CF_R2_ACCESS_KEY_ID", "an-id"),
        ("CF_R2_SECRET_ACCESS_KEY", one),
        ("FILOT_MAIL_SMTP_URL", mail.as_str()),
        ("FILOT_MAIL_FROM", "no-reply@example.com"),
        ("REDIS_URL", redis.as_str()),
        ("DATABASE_URL", database.as_str()),
    ];
    let told = problems_of(&vars);
    assert_eq!(told.lines().count(), 6, "seven places, one of them is the first:\n{told}");
    assert!(told.contains("DATABASE_URL") && told.contains("REDIS_URL") && !told.contains(one), "{told}");
}

#[test]
fn production_and_staging_send_nothing_in_the_clear() {
    let store = [
        ("CF_R2_BUCKET_NAME", "filot"),
        ("CF_R2_ACCESS_KEY_ID", "an-id"),
        ("CF_R2_SECRET_ACCESS_KEY", "x8Jd3Hs6Jf0Gpeq7Vt2Kx9Lm4Wz1Rb8Y"),
    ];
    let buli2 = [
        ("BULI2_API_KEY", "q7Vt2Kx9Lm4Wz1Rb8Yc5Nd3Hs6Jf0Gpe"),
        ("BULI2_SIGNATURE_SECRET", "b2xJ7vQw9Zt4Lm1Rk8Yc5Nd0Hs3Gf6Pa"),
    ];
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("FILOT_PUBLIC_URL", &["http://api.example.com", "http://0.0.0.0"], &["http://127.0.0.1:8080"]),
        (
            "FILOT_FRONTEND_ORIGIN",
            &["http://app.example.com", "https://app.example.com, http://other.example.com"],
            &["http://localhost:3000", "https://app.example.com,https://other.example.com"],
        ),
        (
            "BULI2_API_URL",
            &["http://buli2.example", "http://10.0.0.7"],
            &["https://buli2.example", "http://[::1]:80"],
        ),
        ("BULI2_CALLBACK_URL", &["http://api.example.com/x"], &["https://api.example.com/x"]),
        ("STACK_API_URL", &["http://stack.example"], &["http://127.0.0.1:9"]),
        ("CF_R2_ENDPOINT", &["http://r2.example"], &["https://r2.example", "http://s3.localhost:9000"]),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &["http://collector:4318"], &["http://localhost:4318"]),
        (
            "REDIS_URL",
            &["redis://redis.internal", "rediss://redis.internal/#insecure", "redis://127.0.0.1.example.com"],
            &["rediss://redis.internal:6379", "redis://127.0.0.1:6379"],
        ),
        (
            "DATABASE_URL",
            &[
                "postgres://filot@db.internal/filot",
                "postgres://filot@db.internal/filot?sslmode=require",
                "postgresql://filot@db.internal/filot?sslmode=prefer",
                "postgres://filot@db.internal/filot?sslmode=verify-full&sslmode=disable",
                "postgres://filot@db.internal/filot?sslmode=disable&sslmode=verify-full",
                "postgres://filot@localhost/filot?host=db.example.com",
                "postgres://filot@localhost/filot?hostaddr=192.0.2.8",
                "postgres:///filot?host=/run/postgresql&host=db.example.com",
            ],
            &[
                "postgres://filot@db.internal/filot?sslmode=verify-full",
                "postgres://filot@db.internal/filot?sslrootcert=/ca.pem&sslmode=verify-ca",
                "postgres://filot@127.0.0.1/filot",
                "postgres:///filot?host=/run/postgresql",
                "sqlite:///var/lib/filot/filot.db",
            ],
        ),
    ];
    for (name, refused, taken) in cases {
        for environment in ["production", "staging"] {
            let told = |value: &str| {
                let mut vars = vec![("NODE_ENV", environment), (name, value)];
                vars.extend(buli2.iter().filter(|_| *name == "BULI2_API_URL"));
                vars.extend(store.iter().filter(|_| *name == "CF_R2_ENDPOINT"));
                vars.extend(Some(("STACK_PROJECT_ID", "p")).filter(|_| *name == "STACK_API_URL"));
                problems_of(&vars)
            };
            for value in *refused {
                assert!(told(value).contains(name), "{environment}: {name}={value} is taken");
            }
            for value in *taken {
                assert_eq!(told(value), "", "{environment}: {name}={value}");
            }
        }
    }
    // A host that nobody else stands on the way to, said so by name.
    let plain = ("FILOT_SERVER_PLAIN_HOSTS", "redis, postgres");
    assert_eq!(problems_of(&[plain, ("REDIS_URL", "redis://redis:6379")]), "");
    assert!(problems_of(&[plain, ("REDIS_URL", "redis://redis.example:6379")]).contains("REDIS_URL"));
}

#[test]
fn staging_holds_to_the_rules_of_production_but_for_those_it_names() {
    let staging = ("NODE_ENV", "staging");
    let Problems(problems) = with(&[staging]).unwrap_err();
    assert_eq!(problems.len(), 5, "{problems:?}");
    let all = "secrets,tls,metrics,checkpoints";
    assert!(with(&[staging, ("FILOT_SERVER_RELAXED", all), ("REDIS_URL", "redis://redis:6379")]).is_ok());
    assert_eq!(with(&[staging, ("FILOT_SERVER_RELAXED", "secrets")]).unwrap_err().0.len(), 2);
    assert!(problems_of(&[("FILOT_SERVER_RELAXED", "tls")]).contains("server.relaxed is for staging"));
    assert!(problems_of(&[staging, ("FILOT_SERVER_RELAXED", "tsl")]).contains("does not know \"tsl\""));
}

#[test]
fn a_worker_needs_no_secret_of_the_doors() {
    let session = STRONG[1];
    let told = |process, vars: &[(&str, &str)]| {
        let mut vars: Vec<_> = vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        vars.push(("NODE_ENV".to_owned(), "production".to_owned()));
        let read = Config::from_parts_for("", &vars, process);
        read.err().map(|Problems(problems)| problems.join("\n")).unwrap_or_default()
    };
    assert_eq!(told(Process::GpuWorker, &[("BULI2_API_URL", "https://buli2.example")]), "");
    assert!(told(Process::Worker, &[]).contains("SESSION_SECRET"));
    assert_eq!(told(Process::Worker, &[session]), "");
    let buli2 =
        [session, ("BULI2_API_URL", "https://b.example"), ("BULI2_API_KEY", "k7Vt2Kx9Lm4Wz1Rb8Yc5Nd3Hs6Jf0")];
    assert_eq!(told(Process::Worker, &buli2), "");
    assert!(told(Process::Worker, &[("REDIS_URL", "redis://redis.example")]).contains("REDIS_URL"));
}

#[test]
fn only_development_takes_an_empty_database_for_a_new_one() {
    let mut config = Config::from_parts("", &[]).unwrap().service;
    for (environment, create, may) in [
        (Environment::Development, Create::Auto, true),
        (Environment::Development, Create::False, false),
        (Environment::Staging, Create::Auto, false),
        (Environment::Staging, Create::True, true),
        (Environment::Production, Create::Auto, false),
        (Environment::Production, Create::True, true),
    ] {
        (config.server.environment, config.database.create) = (environment, create);
        assert_eq!(config.may_create_schema(), may, "{environment:?} {create:?}");
    }
    assert!(with(&[("DATABASE_CREATE", "perhaps")]).is_err());
}

#[test]
fn buli2_without_a_strong_signature_secret_is_refused() {
    let buli2 =
        [("BULI2_API_URL", "https://buli2.example"), ("BULI2_API_KEY", "q7Vt2Kx9Lm4Wz1Rb8Yc5Nd3Hs6Jf0Gpe")];
    let with_secret = |environment, secret: Option<&'static str>| {
        let mut vars = vec![("NODE_ENV", environment)];
        vars.extend(buli2);
        vars.extend(secret.map(|secret| ("BULI2_SIGNATURE_SECRET", secret)));
        production(&vars)
    };
    for environment in ["development", "staging", "production"] {
        let Problems(problems) = with_secret(environment, None).unwrap_err();
        assert_eq!(problems, ["BULI2_SIGNATURE_SECRET must be set when BULI2_API_URL is"]);
    }
    assert!(with_secret("production", Some("short")).is_err());
    assert!(with_secret("production", Some("b2xJ7vQw9Zt4Lm1Rk8Yc5Nd0Hs3Gf6Pa")).is_ok());
    assert!(with_secret("development", Some("short")).is_ok());
    let Problems(problems) =
        read("[buli2]\nreplay_window_s = 0\nretry_max_ms = 20\nconcurrency = 0\n", &[]).unwrap_err();
    assert_eq!(problems.len(), 3, "{problems:?}");
}

#[test]
fn secrets_are_not_shown_in_debug_output_or_messages() {
    let secret = "kV7q0y2mBz5nXw8rTj1uLd4sHf6gAc9e";
    let shown = format!("{:?}", with(&[("JWT_SECRET", secret)]).unwrap());
    assert!(!shown.contains(secret));
    let Problems(problems) = with(&[("PORT", secret)]).unwrap_err();
    assert!(!problems.join("").contains(secret));
}

#[test]
fn the_first_of_two_names_counts() {
    let config = with(&[("QUEUE_ENGINE", "temporal"), ("OCR_ENGINE", "redis")]).unwrap();
    assert_eq!(config.workflow.engine, service::WorkflowEngine::Queue);
}

#[test]
fn temporal_is_used_or_switched_off_but_never_passed_over() {
    use super::rules::temporal;
    // With Temporal switched off, whatever this program was built with reads them.
    let off = ("TEMPORAL_DISABLED", "true");
    let problems = |built_in: bool, vars: &[(&str, &str)], disabled: bool| {
        let mut config = with(&[vars, &[off]].concat()).unwrap();
        config.temporal.disabled = disabled;
        let mut problems = Vec::new();
        temporal(&config, built_in, &mut problems);
        (problems.join(" "), config.temporal_in_use().is_some())
    };
    let (engine, endpoint) = (("OCR_ENGINE", "temporal"), ("TEMPORAL_ENDPOINT", "temporal.example:7233"));
    for vars in [&[engine][..], &[endpoint], &[engine, endpoint]] {
        let (told, _) = problems(false, vars, false);
        assert!(told.contains("--features temporal") && told.contains("TEMPORAL_DISABLED=true"), "{told}");
        assert_eq!(problems(false, vars, true), (String::new(), false));
    }
    assert_eq!(problems(true, &[engine, endpoint], false), (String::new(), true));
    // With a warning when the service starts.
    assert_eq!(problems(true, &[endpoint], false), (String::new(), false));
    assert_eq!(problems(true, &[engine], false), (String::new(), false));
    let mut config = with(&[("OCR_ENGINE", "temporal"), off]).unwrap();
    config.workflow.fallback = false;
    let mut told = Vec::new();
    temporal(&config, true, &mut told);
    assert!(told[0].contains("TEMPORAL_ENDPOINT must be set"), "{told:?}");
    config.temporal.endpoint = Some("http://temporal.example:7233".to_owned());
    (config.temporal.disabled, config.temporal.api_key) = (false, Some("a key".to_owned().into()));
    told.clear();
    temporal(&config, true, &mut told);
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("needs TLS"), "{told:?}");
    (config.temporal.api_key, config.temporal.tls_client_cert) = (None, Some("client.pem".into()));
    told.clear();
    temporal(&config, true, &mut told);
    assert!(told[0].contains("TEMPORAL_TLS_CLIENT_CERT_PATH needs TLS"), "{told:?}");
    assert!(told[1].contains("must be set together"), "{told:?}");
    config.temporal.tls_client_cert = None;
    config.temporal.endpoint = Some("temporal.example:7233".to_owned());
    (config.temporal.disabled, config.temporal.namespace) = (false, String::new());
    told.clear();
    temporal(&config, true, &mut told);
    assert!(told[0].contains("TEMPORAL_NAMESPACE"), "{told:?}");
}

#[test]
fn who_may_register_follows_from_mail_and_environment_unless_it_is_set() {
    use super::service::Registration as R;
    let registration = |service: Service| service.registration();
    let of = |vars: &[(&str, &str)]| with(vars).map(registration);
    let deployed = |vars: &[(&str, &str)]| production(vars).map(registration);
    let mail = [
        ("FILOT_MAIL_SMTP_URL", "smtps://mail.example"),
        ("FILOT_MAIL_FROM", "FiLot <no-reply@example.com>"),
    ];
    assert_eq!((of(&[]), of(&mail)), (Ok(R::Open), Ok(R::Verified)));
    assert_eq!((deployed(&[]), deployed(&mail)), (Ok(R::Closed), Ok(R::Verified)));
    assert_eq!(deployed(&[("FILOT_AUTH_REGISTRATION", "open")]), Ok(R::Open));
    assert_eq!(of(&[mail[0], mail[1], ("FILOT_AUTH_REGISTRATION", "closed")]), Ok(R::Closed));
    let plain = [("FILOT_MAIL_SMTP_URL", "smtp://mail.example"), mail[1]];
    assert_eq!(of(&plain), Ok(R::Verified));
    for address in ["smtp://mail.example?tls=required", "smtp://127.0.0.1:2525"] {
        assert_eq!(deployed(&[("FILOT_MAIL_SMTP_URL", address), mail[1]]), Ok(R::Verified), "{address}");
    }
    for (result, told) in [
        (of(&[("FILOT_AUTH_REGISTRATION", "verified")]), "mail.smtp_url must be set"),
        (of(&mail[..1]), "mail.from must be set"),
        (of(&[mail[0], ("FILOT_MAIL_FROM", "nobody")]), "mail.from must be an e-mail address"),
        (deployed(&plain), "mail.smtp_url must be smtps://"),
    ] {
        let Problems(problems) = result.unwrap_err();
        assert!(problems.iter().any(|problem| problem.contains(told)), "{problems:?}");
    }
}
