//! The state machine.

use filot_cards::decide::Decision;

use super::{Resolution, Status, Verification};

/// What the rules look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub status: Status,
    pub verification: Verification,
    /// Which reading this is, from 1.
    pub generation: u32,
    /// Readings begun and not ended cleanly; what tells a document that kills its readers.
    pub attempts: u32,
    /// Token of the lease under which the present reading runs. Only ever grows.
    pub fence: i64,
}

/// Something that wants to change a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// A reader with the lease `token` starts; after `max_attempts` beginnings without an end it may not.
    Begin { token: i64, max_attempts: u32 },
    /// The reader with that lease has come to a decision.
    Record { token: i64, decision: Decision },
    /// The reader with that lease found the document unreadable for good.
    Fail { token: i64 },
    /// The reader with that lease gives it back unread, which does not count against the document: a graceful stop, a
    /// dependency that is down.
    Release { token: i64 },
    /// The reading under that lease ended badly and shall be tried again, which counts.
    Retry { token: i64 },
    /// Give up on a document whose readers keep dying.
    Abandon { token: i64 },
    /// Someone asks for another reading.
    Reprocess,
    /// Someone asks for a person's verdict.
    Escalate,
    /// A person decides.
    Resolve(Resolution),
}

/// Why a command does not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// Another reader took over, or the document has moved on.
    #[error("another reader holds the document, or it has moved on")]
    Superseded,
    /// The document is not in a state where the command means anything.
    #[error("not possible while the document is {status}, {verification}")]
    State { status: Status, verification: Verification },
    /// The readers of this document keep dying; it has to be abandoned.
    #[error("its readers died {0} times")]
    Poisonous(u32),
}

impl State {
    /// A document just stored.
    pub const NEW: Self = Self {
        status: Status::Pending,
        verification: Verification::Pending,
        generation: 1,
        attempts: 0,
        fence: 0,
    };

    /// The state after `command`.
    ///
    /// # Errors
    /// See [`Illegal`]; the state stays as it is.
    pub fn apply(self, command: Command) -> Result<Self, Illegal> {
        match command {
            Command::Begin { token, max_attempts } => self.begin(token, max_attempts),
            Command::Record { token, decision } => Ok(Self {
                status: Status::Completed,
                verification: Verification::of(decision),
                attempts: 0,
                ..self.held(token)?
            }),
            Command::Fail { token } => Ok(Self { status: Status::Failed, attempts: 0, ..self.held(token)? }),
            Command::Release { token } => {
                let held = self.held(token)?;
                Ok(Self { status: Status::Pending, attempts: held.attempts.saturating_sub(1), ..held })
            }
            Command::Retry { token } => Ok(Self { status: Status::Pending, ..self.held(token)? }),
            Command::Abandon { token } => match self.status {
                Status::Pending | Status::Processing if token > self.fence => {
                    Ok(Self { status: Status::Failed, fence: token, attempts: 0, ..self })
                }
                _ => Err(Illegal::Superseded),
            },
            Command::Reprocess => match (self.status, self.verification) {
                (Status::Failed, Verification::Pending) => {
                    Ok(Self { status: Status::Pending, generation: self.generation + 1, attempts: 0, ..self })
                }
                _ => Err(self.refused()),
            },
            Command::Escalate => match (self.status, self.verification) {
                (Status::Completed, Verification::AutoApproved | Verification::AutoRejected)
                | (Status::Failed, Verification::Pending) => {
                    Ok(Self { verification: Verification::PendingManualReview, ..self })
                }
                _ => Err(self.refused()),
            },
            Command::Resolve(resolution) => match self.verification {
                Verification::PendingManualReview => Ok(Self {
                    verification: match resolution {
                        Resolution::Approved => Verification::ManuallyApproved,
                        Resolution::Rejected => Verification::ManuallyRejected,
                    },
                    ..self
                }),
                _ => Err(self.refused()),
            },
        }
    }

    fn begin(self, token: i64, max_attempts: u32) -> Result<Self, Illegal> {
        match self.status {
            Status::Pending | Status::Processing if token > self.fence => {
                if self.attempts >= max_attempts {
                    return Err(Illegal::Poisonous(self.attempts));
                }
                Ok(Self { status: Status::Processing, attempts: self.attempts + 1, fence: token, ..self })
            }
            _ => Err(Illegal::Superseded),
        }
    }

    /// This state, if the reading under way runs under `token`.
    fn held(self, token: i64) -> Result<Self, Illegal> {
        if self.status == Status::Processing && self.fence == token {
            Ok(self)
        } else {
            Err(Illegal::Superseded)
        }
    }

    fn refused(self) -> Illegal {
        Illegal::State { status: self.status, verification: self.verification }
    }

    /// Whether a document may ever look like this.
    pub fn is_legal(self) -> bool {
        use Verification as V;
        let verdict = match self.status {
            Status::Pending | Status::Processing => self.verification == V::Pending,
            Status::Completed => self.verification != V::Pending,
            Status::Failed => !matches!(self.verification, V::AutoApproved | V::AutoRejected),
        };
        let attempts = match self.status {
            Status::Pending => true,
            Status::Processing => self.attempts > 0,
            Status::Completed | Status::Failed => self.attempts == 0,
        };
        let fence = !matches!(self.status, Status::Processing | Status::Completed) || self.fence > 0;
        verdict && attempts && fence && self.generation > 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn command() -> impl Strategy<Value = Command> {
        // Few tokens, so that stale and present ones meet often.
        let token = 1..40_i64;
        let decision =
            prop_oneof![Just(Decision::AutoApprove), Just(Decision::NeedsReview), Just(Decision::AutoReject)];
        prop_oneof![
            4 => token.clone().prop_map(|token| Command::Begin { token, max_attempts: 3 }),
            4 => (token.clone(), decision).prop_map(|(token, decision)| Command::Record { token, decision }),
            2 => token.clone().prop_map(|token| Command::Fail { token }),
            2 => token.clone().prop_map(|token| Command::Release { token }),
            2 => token.clone().prop_map(|token| Command::Retry { token }),
            1 => token.prop_map(|token| Command::Abandon { token }),
            2 => Just(Command::Reprocess),
            1 => Just(Command::Escalate),
            1 => prop_oneof![Just(Resolution::Approved), Just(Resolution::Rejected)].prop_map(Command::Resolve),
        ]
    }

    /// What must hold between a state and the one a command led to.
    fn check_step(before: State, command: Command, after: State) {
        assert!(after.is_legal(), "{before:?} --{command:?}--> {after:?}");
        assert!(after.fence >= before.fence, "a fence went back: {command:?}");
        assert!(after.generation >= before.generation);
        assert_ne!(after, before, "{command:?} was accepted and changed nothing");
        let verdict = |s: State| s.verification != Verification::Pending;
        // A person's verdict is final, a machine's verdict changes only through a person.
        if matches!(before.verification, Verification::ManuallyApproved | Verification::ManuallyRejected) {
            panic!("{command:?} moved a document that a person has decided");
        }
        if verdict(before) {
            assert!(matches!(command, Command::Escalate | Command::Resolve(_)));
            assert!(verdict(after));
        }
        // Only the lease that began a reading ends it.
        if let Command::Record { token, .. } | Command::Fail { token } | Command::Release { token } = command
        {
            assert_eq!((before.status, before.fence), (Status::Processing, token));
        }
        assert!(after.attempts <= 3);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn random_commands_reach_no_illegal_state(commands in proptest::collection::vec(command(), 1..40)) {
            let mut state = State::NEW;
            let mut verdicts = 0;
            for command in commands {
                let Ok(next) = state.apply(command) else { continue };
                check_step(state, command, next);
                if matches!(command, Command::Record { .. }) {
                    verdicts += 1;
                }
                state = next;
            }
            prop_assert!(verdicts <= 1, "a document got {verdicts} machine verdicts");
        }
    }

    #[test]
    fn every_legal_state_that_commands_reach_is_reached() {
        // The walk over all commands from the start: shows that the checks above are not vacuous.
        let tokens = 1..=4_i64;
        let mut commands = vec![Command::Reprocess, Command::Escalate];
        commands.extend(Resolution::ALL.iter().map(|&r| Command::Resolve(r)));
        for token in tokens {
            commands.push(Command::Begin { token, max_attempts: 2 });
            commands.push(Command::Fail { token });
            commands.push(Command::Release { token });
            commands.push(Command::Retry { token });
            commands.push(Command::Abandon { token });
            for decision in [Decision::AutoApprove, Decision::NeedsReview, Decision::AutoReject] {
                commands.push(Command::Record { token, decision });
            }
        }
        let mut seen = std::collections::HashSet::from([State::NEW]);
        let mut open = vec![State::NEW];
        while let Some(state) = open.pop() {
            for &command in &commands {
                if let Ok(next) = state.apply(command) {
                    check_step(state, command, next);
                    if seen.insert(next) {
                        open.push(next);
                    }
                }
            }
        }
        let shapes: std::collections::HashSet<_> = seen.iter().map(|s| (s.status, s.verification)).collect();
        // pending, processing, five verdicts of completed, four of failed.
        assert_eq!(shapes.len(), 2 + 5 + 4);
    }

    #[test]
    fn a_document_that_kills_its_readers_is_given_up() {
        let mut state = State::NEW;
        for token in 1..=3 {
            state = state.apply(Command::Begin { token, max_attempts: 3 }).unwrap();
        }
        assert_eq!(state.apply(Command::Begin { token: 4, max_attempts: 3 }), Err(Illegal::Poisonous(3)));
        let given_up = state.apply(Command::Abandon { token: 4 }).unwrap();
        assert_eq!(given_up.status, Status::Failed);
    }
}
