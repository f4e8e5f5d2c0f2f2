//! The command line.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use filot_cards::kind::DeclaredType;
use jiff::civil::Date;

use crate::bench::Contender;
use crate::clock::Clock;
use crate::config::{Config, Engine, Process, Runtime};
use crate::document::{DocumentId, UserId};
use crate::queue::Lane;
use crate::reader::Reader;
use crate::scan::{self, Order, OutputFormat};
use crate::store::Role;
use crate::{
    accounts, audit, backup, bench, demo, doctor, http, installation, pdf, probe, readers, sample, selftest,
    serve,
};

/// At least one card goes to a person.
pub const EXIT_REVIEW: u8 = 1;
/// At least one card is rejected.
pub const EXIT_REJECTED: u8 = 2;
/// The command line or the settings are wrong (`EX_USAGE`).
pub const EXIT_USAGE: u8 = 64;
/// At least one file cannot be read, or something does not hold what it promises (`EX_DATAERR`).
pub const EXIT_UNREADABLE: u8 = 65;
/// The reader cannot work (`EX_UNAVAILABLE`).
pub const EXIT_UNAVAILABLE: u8 = 69;
/// Results cannot be written (`EX_IOERR`).
pub const EXIT_OUTPUT: u8 = 74;

/// Reads and verifies Indonesian identity documents (KTP, NPWP).
#[derive(Debug, Parser)]
#[command(name = "filot", version, disable_help_subcommand = true, max_term_width = 110)]
pub struct Cli {
    /// Settings; those it lacks keep their defaults
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Pretend it is this day (YYYY-MM-DD), for repeatable runs
    #[arg(long, global = true, hide = true, value_name = "DAY")]
    today: Option<Date>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Scan(ScanArgs),
    Sample(SampleArgs),
    Bench(BenchArgs),
    BenchGpu(BenchGpuArgs),
    Doctor(DoctorArgs),
    /// Run the service: API, page and, by default, a worker
    Serve {
        /// No worker in this process
        #[arg(long)]
        no_worker: bool,
        #[command(flatten)]
        reading: Reading,
    },
    /// Read documents that the service has queued
    Worker {
        /// Which queue
        #[arg(long, value_enum, default_value_t = LaneArg::Cpu)]
        lane: LaneArg,
        #[command(flatten)]
        reading: Reading,
    },
    /// Bring the database's schema up to date
    Migrate {
        /// Make the schema if the database is empty; outside development it is otherwise taken for the wrong one
        #[arg(long)]
        create: bool,
    },
    /// Take over files that belong to another database, or erase files that none knows
    Files {
        #[command(subcommand)]
        command: FilesCommand,
    },
    /// Go on with other keys than those that the database was used with
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Ask the service that these settings describe how it is; 0 when it answers with 200, 69 when not
    Health {
        /// Whether it can take requests, rather than whether it lives
        #[arg(long)]
        ready: bool,
    },
    Demo(DemoArgs),
    Backup(BackupArgs),
    Restore(RestoreArgs),
    CreateUser(CreateUserArgs),
    ChangeUser(ChangeUserArgs),
    ResetSecondFactor(ResetSecondFactorArgs),
    /// Check the audit trail, sign how it stands, export a case
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    VerifyEvidence(VerifyEvidenceArgs),
    /// Hold what FiLot promises against what it does on your disk and database
    Selftest {
        #[command(subcommand)]
        command: SelftestCommand,
    },
    /// Read the settings and say whether a process may start with them; 0 if so, 64 if not
    CheckSettings {
        /// The process that they are for
        #[arg(long = "for", value_enum, default_value_t = ProcessArg::Api)]
        process: ProcessArg,
    },
    /// Print the description of the API (OpenAPI 3.1)
    Openapi,
    /// Print a completion script for a shell
    Completions {
        shell: clap_complete::Shell,
    },
    /// The child process of `bench`
    #[command(name = bench::SUBCOMMAND, hide = true)]
    BenchReader {
        reader: Contender,
        folder: PathBuf,
    },
    /// A child process of `serve` and `worker`
    #[command(name = readers::SUBCOMMAND, hide = true)]
    ReadCards {
        parent: u32,
    },
    /// The child process of `pdf`
    #[command(name = pdf::SUBCOMMAND, hide = true)]
    DrawPdfPage {
        memory: u64,
        cpu_seconds: u64,
        page: u32,
    },
}

/// Read cards from photos, scans and PDF files
///
/// Exit status: 0 all approved, 1 some need a person, 2 some rejected, 64 wrong usage, 65 some files cannot be read,
/// 69 the reader cannot work, 74 results cannot be written.
#[derive(Debug, clap::Args)]
struct ScanArgs {
    /// Pictures (JPEG, PNG, WebP, PDF), folders of them, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// What the pictures are said to show
    #[arg(long = "type", value_name = "TYPE", value_enum, default_value_t = Declared::Auto)]
    declared: Declared,
    /// How to write results [default: table on a terminal, else json for one file and ndjson for more]
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<OutputFormat>,
    /// Files to read at a time [default: one to a core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Which reader
    #[arg(long, value_enum, value_name = "ENGINE")]
    engine: Option<Engine>,
    /// What the networks run on
    #[arg(long, value_enum, value_name = "RUNTIME")]
    runtime: Option<Runtime>,
    /// Write each picture to DIR with what was found drawn on it
    #[arg(long, value_name = "DIR")]
    annotate: Option<PathBuf>,
    /// Results only: no progress, no summary, no notes
    #[arg(short, long)]
    quiet: bool,
    /// No colours (also: the environment variable NO_COLOR)
    #[arg(long)]
    no_color: bool,
}

/// Write pictures of invented cards, with what is on them in truth.jsonl
#[derive(Debug, clap::Args)]
struct SampleArgs {
    /// How many
    #[arg(long, default_value_t = 24, value_name = "N")]
    count: u64,
    /// The same seed gives the same pictures
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
    /// Folder to write to
    #[arg(long, default_value = "samples", value_name = "DIR")]
    out: PathBuf,
}

/// Measure accuracy and speed on pictures whose truth is known
///
/// Without a set, pictures are drawn. The tables are Markdown.
#[derive(Debug, clap::Args)]
struct BenchArgs {
    /// Folder of pictures with a truth.jsonl
    #[arg(long, value_name = "DIR")]
    set: Option<PathBuf>,
    /// How many pictures to draw
    #[arg(long, default_value_t = 300, value_name = "N")]
    count: u64,
    /// Seed of the drawn pictures
    #[arg(long, default_value_t = 20_261_123, value_name = "S")]
    seed: u64,
    /// Who takes part; the first is shown in detail
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Contender::Ort, Contender::Rten, Contender::Tesseract])]
    readers: Vec<Contender>,
    /// File for the tables [default: standard output]
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Measure how many cards a second an NVIDIA GPU reads, and whether it reads what the CPU reads
#[derive(Debug, clap::Args)]
struct BenchGpuArgs {
    /// How many cards to draw
    #[arg(long, default_value_t = 128, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    cards: u64,
    /// Seed of the drawn cards
    #[arg(long, default_value_t = 20_261_123, value_name = "S")]
    seed: u64,
    /// How long to read and count, for each size of photo and number of streams
    #[arg(long, default_value_t = 20, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Cards to read at a time [default: four to a core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Copies of each network on the GPU, `gpu.streams`: every number that is tried
    #[arg(long, num_args = 1.., value_name = "N", default_values_t = [1, 2, 4], value_parser = clap::value_parser!(u8).range(1..=16))]
    streams: Vec<u8>,
    /// File for the tables [default: standard output]
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Check that everything FiLot needs is there, and say how to mend what is not
#[derive(Debug, clap::Args)]
struct DoctorArgs {
    /// Write the checks as JSON
    #[arg(long)]
    json: bool,
    /// Also hold every document against its file
    #[arg(long)]
    deep: bool,
}

/// Upload drawn cards of all kinds as the test account and read them
#[derive(Debug, clap::Args)]
struct DemoArgs {
    /// How many
    #[arg(long, default_value_t = 30, value_name = "N")]
    count: u64,
    /// The same seed gives the same cards
    #[arg(long, default_value_t = 11, value_name = "S")]
    seed: u64,
}

/// Write database, documents and key of the embedded set-up to one file; also while the service runs
#[derive(Debug, clap::Args)]
struct BackupArgs {
    /// The file to write; must not exist
    #[arg(long, value_name = "FILE", required_unless_present = "note")]
    out: Option<PathBuf>,
    /// Write nothing: only note that a backup was made by other means, such as pg_dump. Doctor and alarm go by that
    #[arg(long, conflicts_with = "out")]
    note: bool,
}

/// A process of the service, as `check-settings` spells it.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ProcessArg {
    /// `filot serve`, and the commands of operators
    Api,
    /// `filot worker`
    Worker,
    /// `filot worker --lane gpu`
    GpuWorker,
}

impl From<ProcessArg> for Process {
    fn from(arg: ProcessArg) -> Self {
        match arg {
            ProcessArg::Api => Self::Api,
            ProcessArg::Worker => Self::Worker,
            ProcessArg::GpuWorker => Self::GpuWorker,
        }
    }
}

/// Check a backup and unpack it into the data folder, which must hold no database
#[derive(Debug, clap::Args)]
struct RestoreArgs {
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Check only: sums, and that every document has its file
    #[arg(long)]
    verify: bool,
}

/// Make a local account; prints an enrolment link for an officer, and the password that was made for a customer
///
/// With the link, which works once and for a day, an officer sets up their password and their one-time codes.
#[derive(Debug, clap::Args)]
struct CreateUserArgs {
    #[arg(long)]
    email: String,
    #[arg(long, value_enum, default_value_t = RoleArg::User)]
    role: RoleArg,
    /// What colleagues at the desk call them; without it they see the e-mail
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
}

/// What reads, where only its surroundings are measured.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Reading {
    /// Do not read: believe what the pixels of a test picture say. For measurements; refused in production
    #[arg(long, hide = true)]
    scripted: bool,
}

#[derive(Debug, Subcommand)]
enum SelftestCommand {
    Durability(DurabilityArgs),
    /// The child process of `selftest durability`
    #[command(hide = true)]
    Child {
        user: UserId,
        #[arg(long)]
        failpoint: Option<String>,
    },
}

/// Upload documents through processes that are killed at random moments, and count what is lost, double or stuck
///
/// Takes place in the database, queue and file store of the settings, in a schema, under a prefix and in a folder of its
/// own, which it removes. Exit status: 0 everything as promised, 65 not, 69 it could not be tried.
#[derive(Debug, clap::Args)]
struct DurabilityArgs {
    /// How many
    #[arg(long, default_value_t = 2000, value_name = "N")]
    documents: u32,
    /// Processes to kill meanwhile
    #[arg(long, default_value_t = 100, value_name = "N")]
    kills: u32,
    /// The same seed gives the same moments
    #[arg(long, default_value_t = 20_261_123, value_name = "S")]
    seed: u64,
    /// File that gets a row about the run
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Change an account: its role, its password, whether it is open; ends all its sign-ins and is an entry of the audit trail
#[derive(Debug, clap::Args)]
struct ChangeUserArgs {
    #[arg(long)]
    email: String,
    #[arg(long, value_enum)]
    role: Option<RoleArg>,
    /// Lock the person out; what they said and did stays
    #[arg(long, conflicts_with = "enable")]
    disable: bool,
    /// Let them in again
    #[arg(long)]
    enable: bool,
    /// Forget the password: prints a new one, and for an officer an enrolment link by which they set one themselves
    #[arg(long)]
    new_password: bool,
    /// Why: for the audit trail, without personal data
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    reason: String,
}

/// Take away the one-time codes of an officer who has lost their phone, and print a link by which they set up new ones
///
/// The link works once, for a day; the command makes another when it was not used in time. Ends all their sign-ins, puts their documents back into the queue, and is an entry of the audit trail. First make sure
/// that it is really them who ask.
#[derive(Debug, clap::Args)]
struct ResetSecondFactorArgs {
    #[arg(long)]
    email: String,
    /// Why, and who has made sure of it: for the audit trail, without personal data
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    reason: String,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Have this database go on with the keys of these settings: the former `master.key` or `SESSION_SECRET` is lost, or
    /// replaced on purpose. What they sealed cannot be opened any more: `filot reset-second-factor` for each officer
    Adopt,
}

#[derive(Debug, Subcommand)]
enum FilesCommand {
    /// Have this database take over the files of folder or bucket, whosever they were; first make sure that no other
    /// service uses them
    Adopt,
    /// Erase at once the files that no document has known for `storage.quarantine_days`; `filot doctor` tells how many
    EraseUnknown {
        /// If there are more, none is erased
        #[arg(value_name = "AT_MOST")]
        at_most: u64,
    },
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Follow the trail and say whether anything in it was changed; 0 if not, 65 if so
    Verify {
        /// File with checkpoints, beside those of audit.checkpoint_file and audit.checkpoint_bucket; they show also
        /// whether the end was cut off or all of it written anew
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
        /// A former key of this installation that checkpoints may be signed with
        #[arg(long, value_name = "KEY")]
        public_key: Option<String>,
    },
    /// Add a signed line about the present end of the trail to a file, to be kept elsewhere
    Checkpoint {
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Write one case to a signed file: fields, checks, ledger, reviews, audit entries. It holds personal data
    Export {
        #[arg(long, value_name = "ID")]
        document: DocumentId,
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Print the key that others check checkpoints and exported cases with
    PublicKey,
}

/// Check a file of `audit export`: signature, audit entries, ledger. Needs no database and no settings
///
/// Exit status: 0 everything fits, 65 something does not.
#[derive(Debug, clap::Args)]
struct VerifyEvidenceArgs {
    file: PathBuf,
    /// The key that must have signed it
    #[arg(long, value_name = "KEY")]
    public_key: Option<String>,
    /// The photo, to be held against the hash in the file
    #[arg(long, value_name = "FILE")]
    photo: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LaneArg {
    Cpu,
    Gpu,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleArg {
    User,
    Reviewer,
    Admin,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::User => Self::User,
            RoleArg::Reviewer => Self::Reviewer,
            RoleArg::Admin => Self::Admin,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Declared {
    Ktp,
    Npwp,
    /// Find out
    Auto,
}

impl From<Declared> for DeclaredType {
    fn from(declared: Declared) -> Self {
        match declared {
            Declared::Ktp => Self::Ktp,
            Declared::Npwp => Self::Npwp,
            Declared::Auto => Self::Auto,
        }
    }
}

impl Cli {
    /// Does what the command line says and returns the exit status.
    pub fn run(self) -> u8 {
        if let Command::DrawPdfPage { memory, cpu_seconds, page } = self.command {
            return pdf::draw_page_as_child(memory, cpu_seconds, page);
        }
        if let Command::ReadCards { parent } = self.command {
            return readers::run_child(parent);
        }
        if let Command::VerifyEvidence(args) = &self.command {
            let photo = args.photo.as_deref();
            return found(audit::verify_evidence(&args.file, args.public_key.as_deref(), photo));
        }
        let process = match self.command {
            Command::Worker { lane: LaneArg::Gpu, .. } => Process::GpuWorker,
            Command::Worker { .. } => Process::Worker,
            Command::CheckSettings { process } => process.into(),
            _ => Process::Api,
        };
        let config = match Config::load_for(self.config.as_deref(), process) {
            Ok(config) => config,
            Err(problems) => return complain(EXIT_USAGE, &problems),
        };
        let clock = self.today.map_or_else(Clock::default, Clock::fixed);
        match self.command {
            Command::Scan(args) => run_scan(args, config, clock),
            Command::Sample(args) => {
                match sample::write(&args.out, args.seed, args.count, scan::default_jobs()) {
                    Ok(()) => 0,
                    Err(error) => complain(EXIT_OUTPUT, &format!("{error:#}")),
                }
            }
            Command::Bench(args) => {
                let order = bench::Order {
                    set: args.set,
                    count: args.count,
                    seed: args.seed,
                    readers: args.readers,
                    report: args.report,
                    config: self.config,
                };
                bench::run(&order)
                    .map_or_else(|error| complain(EXIT_UNAVAILABLE, &format!("{error:#}")), |()| 0)
            }
            Command::BenchGpu(args) => {
                let order = bench::gpu::GpuOrder {
                    cards: args.cards,
                    seed: args.seed,
                    seconds: args.seconds,
                    threads: args.jobs.map(usize::from),
                    streams: args.streams.into_iter().map(usize::from).collect(),
                    report: args.report,
                };
                bench::gpu::run(&config, &order)
                    .map_or_else(|error| complain(EXIT_UNAVAILABLE, &format!("{error:#}")), |()| 0)
            }
            Command::BenchReader { reader, folder } => {
                let mut config = config;
                config.reader.engine = reader.engine();
                config.reader.runtime = reader.runtime();
                bench::run_reader(&config, &folder)
                    .map_or_else(|error| complain(EXIT_UNAVAILABLE, &format!("{error:#}")), |()| 0)
            }
            Command::Doctor(args) => doctor::run(&config, args.json, args.deep),
            Command::Serve { no_worker, reading } => ran(serve::serve(config, !no_worker, reading.scripted)),
            Command::Worker { lane, reading } => ran(serve::work(
                config,
                match lane {
                    LaneArg::Cpu => Lane::Cpu,
                    LaneArg::Gpu => Lane::Gpu,
                },
                reading.scripted,
            )),
            Command::Migrate { create } => ran(serve::migrate(&config, create).map(|steps| {
                tell(&match steps.len() {
                    0 => "the schema is up to date".to_owned(),
                    n => format!("made {n} steps: {}", steps.join(", ")),
                });
            })),
            Command::Health { ready } => health(&config, ready),
            Command::Demo(args) => ran(demo::run(config, args.count, args.seed)),
            Command::Files { command: FilesCommand::Adopt } => {
                ran(installation::adopt_files(&config).map(|id| {
                    tell(&format!("the files belong to database {id} now; nothing is erased for a day"));
                }))
            }
            Command::Keys { command: KeysCommand::Adopt } => ran(installation::adopt_keys(&config)
                .map(|id| tell(&format!("database {id} goes on with these keys; start the service again")))),
            Command::Files { command: FilesCommand::EraseUnknown { at_most } } => {
                ran(installation::erase_unknown_files(config, at_most).map(|swept| {
                    tell(&match swept.withheld {
                        0 => format!("{} files erased", swept.erased),
                        n => format!("none erased: there are {n}"),
                    });
                }))
            }
            Command::Backup(BackupArgs { out: None, .. }) => ran(backup::note(&config)),
            Command::Backup(BackupArgs { out: Some(out), .. }) => {
                ran(backup::backup(&config, &out).map(|contents| {
                    tell(&format!("{} documents in {}", contents.documents, out.display()));
                }))
            }
            Command::Restore(args) => {
                ran(backup::restore(&config, &args.file, args.verify).map(|documents| {
                    let did = if args.verify { "is whole" } else { "is restored" };
                    tell(&format!("{} {did}: {documents} documents", args.file.display()));
                }))
            }
            Command::CreateUser(args) => ran(create_user(args, config)),
            Command::ChangeUser(args) => ran(change_user(&args, &config)),
            Command::ResetSecondFactor(args) => {
                ran(accounts::reset_second_factor(&config, &args.email, &args.reason)
                    .and_then(finish_account))
            }
            Command::Audit { command } => run_audit(command, &config),
            Command::Selftest { command } => run_selftest(command, config),
            Command::CheckSettings { .. } => {
                tell("the settings are usable");
                0
            }
            Command::Openapi => match http::openapi().to_pretty_json() {
                Ok(json) => ran(writeln!(io::stdout(), "{json}").map_err(Into::into)),
                Err(error) => complain(EXIT_OUTPUT, &error),
            },
            Command::Completions { shell } => {
                clap_complete::generate(shell, &mut Self::command(), "filot", &mut io::stdout());
                0
            }
            Command::DrawPdfPage { .. } | Command::ReadCards { .. } | Command::VerifyEvidence(_) => {
                EXIT_USAGE
            }
        }
    }
}

fn run_scan(args: ScanArgs, mut config: Config, clock: Clock) -> u8 {
    config.reader.engine = args.engine.unwrap_or(config.reader.engine);
    config.reader.runtime = args.runtime.unwrap_or(config.reader.runtime);
    let jobs = args.jobs.map_or_else(scan::default_jobs, usize::from);
    let reader = match Reader::load(&config, jobs) {
        Ok(reader) => reader,
        Err(error) => return complain(EXIT_UNAVAILABLE, &error),
    };
    if !args.quiet {
        reader.notes.iter().for_each(|note| tell(note));
    }
    let order = Order {
        paths: args.paths,
        declared: args.declared.into(),
        format: args.format,
        jobs,
        annotate: args.annotate,
        quiet: args.quiet,
        colour: !args.no_color && !config.no_color && io::IsTerminal::is_terminal(&io::stdout()),
        today: clock.today(),
    };
    scan::run(&reader, &order).unwrap_or_else(|error| complain(EXIT_OUTPUT, &format!("{error:#}")))
}

fn run_selftest(command: SelftestCommand, config: Config) -> u8 {
    match command {
        SelftestCommand::Durability(DurabilityArgs { documents, kills, seed, report }) => {
            let order = selftest::Order { documents, kills, seed, report };
            match selftest::durability(&config, &order) {
                Ok(true) => 0,
                Ok(false) => EXIT_UNREADABLE,
                Err(error) => complain(EXIT_UNAVAILABLE, &format!("{error:#}")),
            }
        }
        SelftestCommand::Child { user, failpoint } => {
            ran(selftest::child::run(config, user, failpoint.as_deref()))
        }
    }
}

fn health(config: &Config, ready: bool) -> u8 {
    let server = &config.service.server;
    let path = if ready { "/ready" } else { "/health" };
    match probe::ask(&server.host, server.port, path, Duration::from_secs(3)) {
        Ok(answer) => {
            let told = writeln!(io::stdout(), "{}", answer.body);
            if answer.status == 200 { ran(told.map_err(Into::into)) } else { EXIT_UNAVAILABLE }
        }
        Err(error) => {
            complain(EXIT_UNAVAILABLE, &format!("no answer from {}:{}: {error}", server.host, server.port))
        }
    }
}

fn create_user(args: CreateUserArgs, config: Config) -> anyhow::Result<()> {
    let password = if args.password_stdin {
        let mut line = String::new();
        io::stdin().read_line(&mut line)?;
        Some(line.trim_end_matches(['\r', '\n']).to_owned())
    } else {
        None
    };
    if let Some(made) = accounts::create(config, &args.email, args.role.into(), args.name, password)? {
        writeln!(io::stdout(), "{made}")?;
    }
    Ok(())
}

fn change_user(args: &ChangeUserArgs, config: &Config) -> anyhow::Result<()> {
    let order = accounts::Order {
        role: args.role.map(Role::from),
        disabled: (args.disable || args.enable).then_some(args.disable),
        new_password: args.new_password,
    };
    finish_account(accounts::change(config, &args.email, &order, &args.reason)?)
}

/// Prints what the person needs to sign in, and says what else happened.
fn finish_account(done: accounts::Done) -> anyhow::Result<()> {
    if let Some(credential) = done.credential {
        writeln!(io::stdout(), "{credential}")?;
    }
    tell(&format!("done; {} sign-ins ended", done.ended));
    Ok(())
}

fn run_audit(command: AuditCommand, config: &Config) -> u8 {
    match command {
        AuditCommand::Verify { checkpoint, public_key } => {
            found(audit::verify(config, checkpoint.as_deref(), public_key))
        }
        AuditCommand::Checkpoint { out } => ran(audit::checkpoint(config, &out).map(|seq| {
            tell(&format!("signed up to entry {seq}; keep {} where others cannot change it", out.display()));
        })),
        AuditCommand::Export { document, out } => ran(audit::export(config, document, &out)),
        AuditCommand::PublicKey => {
            ran(audit::public_key(config).and_then(|key| Ok(writeln!(io::stdout(), "{key}")?)))
        }
    }
}

/// The status of a check that has come to a finding, or could not be made.
fn found(finding: anyhow::Result<audit::Finding>) -> u8 {
    match finding {
        Ok(Ok(fits)) => ran(writeln!(io::stdout(), "{fits}").map_err(Into::into)),
        Ok(Err(flaw)) => complain(EXIT_UNREADABLE, &flaw),
        Err(error) => complain(EXIT_UNAVAILABLE, &format!("{error:#}")),
    }
}

fn ran(ended: anyhow::Result<()>) -> u8 {
    ended.map_or_else(|error| complain(EXIT_UNAVAILABLE, &format!("{error:#}")), |()| 0)
}

fn complain(status: u8, error: &dyn std::fmt::Display) -> u8 {
    tell(&error.to_string());
    status
}

/// A line on the error output. With nobody there to read it, there is nobody to tell that either.
fn tell(text: &str) {
    let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("filot: {text}\n"));
}
