//! Checks of what kind of thing the photo shows.

use super::{Case, Check, CheckCode, Outcome, cards, holds, overprint};
use crate::kind::{DocumentType, Strength};

pub(super) fn checks(case: &Case<'_>) -> Vec<Check> {
    let kind = &case.draft.kind;
    let mut checks = Vec::new();
    let found = match case.document {
        DocumentType::Other if case.draft.perhaps_unreadable() => Outcome::NotRun,
        DocumentType::Other => Outcome::Fail,
        document if kind.strength(document) == Strength::Clear => Outcome::Pass,
        // Too little of it was read to be sure that it is one.
        _ => Outcome::Warn,
    };
    checks.push(Check::new(CheckCode::DocumentType, found));
    checks.push(Check::new(CheckCode::TypedForm, holds(Some(!kind.typed_form), Outcome::Fail)));
    if case.document != DocumentType::Other {
        if let Some(declared) = case.draft.declared.document() {
            checks.push(Check::new(
                CheckCode::DeclaredType,
                holds(Some(declared == case.document), Outcome::Fail),
            ));
        }
        let several = case.draft.is_one_of_several() || cards::are_several(case.page);
        checks.push(Check::new(CheckCode::SeveralCards, holds(Some(!several), Outcome::Fail)));
        checks.push(Check::new(CheckCode::Mirrored, holds(Some(!case.draft.is_mirrored()), Outcome::Fail)));
        if let Some(known) = case.draft.layout_is_known() {
            checks.push(Check::new(CheckCode::CardLayout, holds(Some(known), Outcome::Warn)));
        }
        checks.push(Check::new(CheckCode::Overprint, holds(overprint::is_clear(case), Outcome::Fail)));
    }
    checks
}
