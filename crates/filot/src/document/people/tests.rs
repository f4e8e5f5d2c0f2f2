//! The rule, tried with random sequences of what people do.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Officers of the model; the last two are admins, the first has sent the card.
const STAFF: usize = 5;

fn officer(n: usize) -> UserId {
    UserId(uuid::Uuid::from_u128(n as u128 + 1))
}

/// What somebody does to a review.
#[derive(Clone, Debug)]
enum Act {
    Officer {
        who: usize,
        ruling: Ruling,
        name: Option<&'static str>,
        village: Option<&'static str>,
        anyway: bool,
    },
    Buli2(Resolution),
    /// BULI2 refuse or take too long.
    ToDesk,
}

fn act() -> impl Strategy<Value = Act> {
    let names = select(vec![None, None, Some("A"), Some("B")]);
    let rulings =
        select(vec![Ruling::Approve, Ruling::Approve, Ruling::Approve, Ruling::Reject, Ruling::Retake]);
    prop_oneof![
        6 => (0..STAFF, rulings, names.clone(), names, any::<bool>())
            .prop_map(|(who, ruling, name, village, anyway)| Act::Officer { who, ruling, name, village, anyway }),
        2 => select(Resolution::ALL.to_vec()).prop_map(Act::Buli2),
        1 => Just(Act::ToDesk),
    ]
}

fn against() -> impl Strategy<Value = Against> {
    let rare = || prop_oneof![3 => Just(false), 1 => Just(true)];
    (rare(), rare(), rare(), rare()).prop_map(|(rejected, unread, failed, unchecked)| Against {
        rejected,
        unread,
        failed,
        unchecked,
        ..Against::default()
    })
}

/// A review as the store keeps it.
#[derive(Debug)]
struct Model {
    stage: Stage,
    with_buli2: bool,
    buli2: Option<Resolution>,
    rulings: Vec<Voice>,
    verdict: Option<(Ruling, Voice, Against)>,
}

impl Model {
    fn new(with_buli2: bool) -> Self {
        Self { stage: Stage::First, with_buli2, buli2: None, rulings: Vec::new(), verdict: None }
    }

    fn voices(&self) -> Vec<Voice> {
        let buli2 =
            self.buli2.map(|said| Voice { who: Who::Buli2, ruling: said.into(), typed: BTreeMap::new() });
        self.rulings.iter().cloned().chain(buli2).collect()
    }

    fn step(&mut self, card: Against, act: &Act) {
        if self.verdict.is_some() {
            return;
        }
        match act {
            Act::ToDesk => self.with_buli2 = false,
            Act::Buli2(said) if self.with_buli2 && self.stage == Stage::First => {
                let voice = Voice { who: Who::Buli2, ruling: (*said).into(), typed: BTreeMap::new() };
                let against = card.as_buli2_sees_it();
                self.buli2 = Some(*said);
                self.with_buli2 = false;
                self.move_on(next(Stage::First, &voice, &[], against, false), voice, against);
            }
            // Too late to decide anything; a no is remembered.
            Act::Buli2(Resolution::Rejected) => self.buli2 = Some(Resolution::Rejected),
            Act::Buli2(Resolution::Approved) => {}
            Act::Officer { who, ruling, name, village, anyway } => {
                let spoke: Vec<UserId> = self
                    .rulings
                    .iter()
                    .filter_map(|voice| match voice.who {
                        Who::Officer(id) => Some(id),
                        Who::Buli2 => None,
                    })
                    .collect();
                if !may_act(officer(*who), *who >= STAFF - 2, officer(0), self.stage, &spoke) {
                    return;
                }
                let typed = [(FieldKey::Name, name), (FieldKey::Village, village)];
                let typed: BTreeMap<FieldKey, String> = typed
                    .into_iter()
                    .filter_map(|(key, value)| Some((key, value.as_ref()?.to_string())))
                    .collect();
                let against = Against {
                    retyped: typed.keys().any(|field| is_identity(*field)),
                    buli2: self.buli2 == Some(Resolution::Rejected),
                    ..card
                };
                let voice = Voice { who: Who::Officer(officer(*who)), ruling: *ruling, typed };
                let led = next(self.stage, &voice, &self.voices(), against, *anyway);
                if led != Next::Alone {
                    self.rulings.push(voice.clone());
                }
                self.move_on(led, voice, against);
            }
        }
    }

    fn move_on(&mut self, led: Next, voice: Voice, against: Against) {
        match led {
            Next::Stands => self.verdict = Some((voice.ruling, voice, against)),
            Next::Pass(stage) => self.stage = stage,
            Next::Alone => {}
        }
    }
}

fn check(model: &Model) -> Result<(), TestCaseError> {
    let voices = model.voices();
    for voice in &voices {
        prop_assert_ne!(voice.who, Who::Officer(officer(0)), "an officer decided on their own card");
        let same = voices.iter().filter(|other| other.who == voice.who).count();
        prop_assert_eq!(same, 1, "somebody spoke twice");
    }
    let Some((Ruling::Approve, by, against)) = &model.verdict else { return Ok(()) };
    if against.people() == People::Two {
        let identity = |voice: &Voice| -> Vec<_> { voice.identity().map(|(k, v)| (*k, v.clone())).collect() };
        let same = |voice: &&Voice| voice.ruling == Ruling::Approve && identity(voice) == identity(by);
        prop_assert!(voices.iter().filter(same).count() >= 2, "approved by one: {:?}", model);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_acts_approves_with_one_person_where_two_are_needed(
        card in against(),
        with_buli2 in any::<bool>(),
        acts in proptest::collection::vec(act(), 1..12),
    ) {
        let mut model = Model::new(with_buli2);
        for act in &acts {
            model.step(card, act);
        }
        check(&model)?;
    }
}

/// Every way that the sequences can end is reached, so that the property above is not empty.
#[test]
fn the_ways_to_an_approval_are_open() {
    let approve =
        |who, name| Act::Officer { who, ruling: Ruling::Approve, name, village: None, anyway: false };
    let reject = |who| Act::Officer { who, ruling: Ruling::Reject, name: None, village: None, anyway: false };
    let bad = Against { failed: true, ..Against::default() };
    let no = Against { rejected: true, ..Against::default() };
    let run = |card, with_buli2, acts: &[Act]| {
        let mut model = Model::new(with_buli2);
        for act in acts {
            model.step(card, act);
        }
        (model.verdict.map(|verdict| verdict.0), model.stage)
    };
    let clean = Against::default();
    let yes = Some(Ruling::Approve);
    let buli2 = |said| Act::Buli2(said);
    assert_eq!(run(clean, false, &[approve(1, None)]).0, yes);
    assert_eq!(run(clean, false, &[approve(0, None)]).0, None, "their own card");
    assert_eq!(run(clean, false, &[approve(1, Some("A"))]), (None, Stage::Second));
    assert_eq!(run(clean, false, &[approve(1, Some("A")), approve(1, Some("A"))]), (None, Stage::Second));
    assert_eq!(run(clean, false, &[approve(1, Some("A")), approve(2, Some("A"))]).0, yes);
    assert_eq!(run(clean, false, &[approve(1, Some("A")), approve(2, None)]), (None, Stage::Admin));
    assert_eq!(run(bad, false, &[approve(1, None), approve(2, None)]).0, yes);
    // An admin who was one of the two does not break the tie, nor does one with a name of their own.
    let tie = [approve(3, None), reject(1)];
    assert_eq!(run(bad, false, &[&tie[..], &[approve(3, None)]].concat()), (None, Stage::Admin));
    assert_eq!(run(bad, false, &[&tie[..], &[approve(4, Some("B"))]].concat()), (None, Stage::Admin));
    assert_eq!(run(bad, false, &[&tie[..], &[approve(4, None)]].concat()).0, yes);
    assert_eq!(run(bad, false, &[&tie[..], &[reject(4)]].concat()).0, Some(Ruling::Reject));
    // BULI2: enough where a person was asked for, one of two otherwise; late, no verdict; a no takes two.
    assert_eq!(run(bad, true, &[buli2(Resolution::Approved)]).0, yes);
    assert_eq!(run(no, true, &[buli2(Resolution::Approved)]), (None, Stage::Second));
    assert_eq!(run(no, true, &[buli2(Resolution::Approved), approve(1, None)]).0, yes);
    assert_eq!(run(no, true, &[buli2(Resolution::Approved), approve(1, Some("A"))]), (None, Stage::Admin));
    assert_eq!(run(no, false, &[buli2(Resolution::Approved)]), (None, Stage::First));
    assert_eq!(run(no, true, &[buli2(Resolution::Rejected)]).0, Some(Ruling::Reject));
    let late = [buli2(Resolution::Rejected), approve(1, None)];
    assert_eq!(run(clean, false, &late), (None, Stage::Second));
    assert_eq!(run(clean, false, &[&late[..], &[approve(2, None)]].concat()).0, yes);
}

#[test]
fn each_thing_against_a_card_takes_a_second_person() {
    let clean = Against::default();
    assert_eq!(clean.people(), People::One);
    for against in [
        Against { rejected: true, ..clean },
        Against { unread: true, ..clean },
        Against { failed: true, ..clean },
        Against { unchecked: true, ..clean },
        Against { retyped: true, ..clean },
        Against { buli2: true, ..clean },
    ] {
        assert_eq!(against.people(), People::Two, "{against:?}");
    }
}
